//! A file's characters, one after the other: each one that can be stored, or what is wrong with it and where.

use std::{
    collections::{
        HashMap,
        hash_map::{Entry, RandomState},
    },
    hash::BuildHasher as _,
};

use encoding_rs::Encoding;
use serde_json::{Map, Value};

use super::{
    Form, Text,
    columns::{self, Columns},
    csv::{Dialect, Row, Rows},
    json::{Piece, Pieces},
    payload::{ImportCharacters, Table, Told},
    sniff,
};
use crate::{
    book::{
        BookError, Character, CharacterId,
        characters::cells::{FIELDS, fields},
        names::slug,
    },
    import::{
        SourceFile,
        charset::{Allowed, examine},
        one_line,
    },
};

/// How many characters a file has at most: so many ids can be told apart in little memory.
const MOST_ITEMS: u64 = 1_000_000;
/// How many characters of a problem are told.
const MOST_PROBLEM: usize = 300;

/// How a file is read: decided once, the same in each pass.
#[derive(Clone, Debug)]
pub(super) struct How {
    pub(super) form: Form,
    pub(super) charset: &'static Encoding,
    pub(super) is_guessed: bool,
    table: Table,
    told: Told,
}

impl How {
    /// By what is said, else by the file.
    pub(super) fn of(payload: &ImportCharacters, source: &SourceFile) -> Result<Self, BookError> {
        let said = payload.charset.as_ref().and_then(|label| Encoding::for_label(label.as_bytes()));
        let (charset, is_guessed) = match said {
            Some(charset) => (charset, false),
            None => {
                let found = examine(source, Allowed::Any)
                    .map_err(|error| if is_archive(source) { workbook(source) } else { error })?;
                (found.encoding, found.guessed)
            }
        };
        let form = match payload.format {
            Some(form) => form,
            None => sniff::form(Text::open(source, charset)?.head(sniff::HEAD_BYTES)?, &source.name),
        };
        Ok(Self { form, charset, is_guessed, table: payload.table.clone(), told: payload.told() })
    }
}

fn is_archive(source: &SourceFile) -> bool {
    use std::io::Read as _;
    let mut head = [0; 4];
    let opened = source.open();
    opened.and_then(|mut file| file.read_exact(&mut head)).is_ok() && head.starts_with(b"PK")
}

fn workbook(source: &SourceFile) -> BookError {
    BookError::input(&source.name, "it is an archive, perhaps a spreadsheet's own form: save it as CSV")
}

/// One of a file.
pub(super) struct Item {
    /// Which, from 1.
    pub(super) number: u64,
    /// The line in which it begins.
    pub(super) line: u64,
    /// How many bytes it has in the file.
    pub(super) bytes: usize,
    pub(super) character: Result<Character, Flaw>,
}

/// Why one can't be stored.
#[derive(Debug)]
pub(super) struct Flaw {
    /// What it calls itself, if that can be told.
    pub(super) id: Option<String>,
    pub(super) problem: String,
}

enum From {
    Table(Box<Rows>, Columns),
    Values(Box<Pieces>),
}

/// A file's characters.
pub(super) struct Items {
    from: From,
    told: Told,
    count: u64,
    /// The lines of the ids that have come, by a hash of theirs; on some storages two that differ in case only are one file.
    seen: HashMap<u64, u64>,
    hashes: RandomState,
    /// How the table is written, where it is one.
    pub(super) dialect: Option<Dialect>,
}

impl Items {
    pub(super) fn open(source: &SourceFile, how: &How) -> Result<Self, BookError> {
        let mut text = Text::open(source, how.charset)?;
        let mut dialect = None;
        let from = match how.form {
            Form::Csv => {
                let told = sniff::table(&mut text, &how.table, &how.told)?;
                dialect = Some(told);
                let (rows, columns) = table(text, told, how, &source.name)?;
                From::Table(Box::new(rows), columns)
            }
            form => From::Values(Box::new(Pieces::new(text, form == Form::Jsonl))),
        };
        let (seen, hashes) = (HashMap::new(), RandomState::new());
        Ok(Self { from, told: how.told.clone(), count: 0, seen, hashes, dialect })
    }

    /// The columns, where it is a table.
    pub(super) fn columns(&self) -> Option<&Columns> {
        match &self.from {
            From::Table(_, columns) => Some(columns),
            From::Values(_) => None,
        }
    }

    /// The text that it reads.
    pub(super) fn text(&self) -> &Text {
        match &self.from {
            From::Table(rows, _) => &rows.text,
            From::Values(pieces) => &pieces.text,
        }
    }

    /// The next one.
    ///
    /// # Errors
    /// Where the file can't be read on.
    pub(super) fn next(&mut self) -> Result<Option<Item>, BookError> {
        let (line, bytes, read) = match &mut self.from {
            From::Table(rows, columns) => match rows.next()? {
                Some(row) => (row.line, row.bytes(), of_row(row, columns, &self.told)),
                None => return Ok(None),
            },
            From::Values(pieces) => match pieces.next()? {
                Some(piece) => {
                    (piece.line, piece.json.as_ref().map_or(0, Vec::len), of_piece(piece, &self.told))
                }
                None => return Ok(None),
            },
        };
        self.count += 1;
        if self.count > MOST_ITEMS {
            let problem = "the file has more than 1,000,000 characters: divide it";
            return Err(self.text().wrong(line, problem));
        }
        let character = read.and_then(|character| self.first(character, line));
        Ok(Some(Item { number: self.count, line, bytes, character }))
    }

    /// Refuses a second one of an id.
    fn first(&mut self, character: Character, line: u64) -> Result<Character, Flaw> {
        match self.seen.entry(self.hashes.hash_one(character.id.as_str().to_lowercase())) {
            Entry::Vacant(place) => {
                place.insert(line);
                Ok(character)
            }
            Entry::Occupied(first) => {
                let problem = format!("the character of line {} has the same id", first.get());
                Err(Flaw { id: Some(character.id.to_string()), problem })
            }
        }
    }
}

/// The rows of a table behind its header, and its columns.
fn table(text: Text, dialect: Dialect, how: &How, name: &str) -> Result<(Rows, Columns), BookError> {
    let mut rows = Rows::new(text, dialect);
    let columns = if how.table.header {
        let first = rows.next()?.map(|row| row.cells().map(str::to_owned).collect::<Vec<_>>());
        let first = first.ok_or_else(|| BookError::input(name, "there is nothing in it"))?;
        Columns::new(&first.iter().map(String::as_str).collect::<Vec<_>>(), true, &how.told)
    } else {
        // The first row is one of them, so it is looked at before.
        let head = Text::of(name, rows.text.head(sniff::HEAD_BYTES)?);
        let width = Rows::new(head, dialect).next()?.map_or(0, Row::len);
        Columns::new(&vec![""; width], false, &how.told)
    };
    columns.check(how.table.header, &how.told).map_err(|problem| BookError::input(name, problem))?;
    Ok((rows, columns))
}

fn flaw(problem: impl std::fmt::Display) -> Flaw {
    Flaw { id: None, problem: one_line(&problem.to_string(), MOST_PROBLEM) }
}

fn of_row(row: &Row, columns: &Columns, told: &Told) -> Result<Character, Flaw> {
    let (cells, names) = (row.len(), columns.len());
    // Spreadsheets leave empty cells behind the last column.
    if row.cells().skip(names).any(|cell| !cell.trim().is_empty()) {
        return Err(flaw(format_args!(
            "it has {cells} cells for {names} columns: quote what has delimiters in it"
        )));
    }
    character(fields(columns.fields().zip(row.cells())).map_err(flaw)?, told)
}

fn of_piece(piece: Piece, told: &Told) -> Result<Character, Flaw> {
    let json = piece.json.ok_or_else(|| flaw("it has more than 1 MiB"))?;
    let value =
        serde_json::from_slice::<Value>(&json).map_err(|error| match error.is_eof() && json.is_empty() {
            true => flaw("there is nothing between two commas"),
            false => flaw(format_args!("it is no JSON: {error}")),
        })?;
    let Value::Object(given) = value else { return Err(flaw("a character is a JSON object")) };
    let mut fields = Map::new();
    for (key, value) in given {
        let field = columns::key(&key, told);
        let says_nothing = value.is_null() && FIELDS.contains(&field.as_str());
        if says_nothing || (field.is_empty() && !key.is_empty()) {
            continue;
        }
        if fields.insert(field, value).is_some() {
            return Err(flaw(format_args!("{key:?} is there twice, in two spellings")));
        }
    }
    character(fields, told)
}

fn character(mut fields: Map<String, Value>, told: &Told) -> Result<Character, Flaw> {
    let is_blank =
        |id: Option<&Value>| id.is_none_or(|id| id.as_str().is_some_and(|id| id.trim().is_empty()));
    if told.ids_from_names
        && is_blank(fields.get("id"))
        && let Some(name) = fields.get("name").and_then(Value::as_str)
    {
        let id = id_of(name).ok_or_else(|| flaw("no id can be made of its name"))?;
        fields.insert("id".to_owned(), Value::from(id.as_str()));
    }
    let id = fields.get("id").and_then(Value::as_str).map(|id| one_line(id, 120));
    let named = |problem: String| Flaw { id: id.clone(), problem: one_line(&problem, MOST_PROBLEM) };
    let read = serde_json::from_value::<Character>(Value::Object(fields));
    let character = read.map_err(|error| named(error.to_string()))?;
    match character.file() {
        Ok(_) => Ok(character),
        Err(BookError::Input { problem, .. }) => Err(named(problem)),
        Err(error) => Err(named(error.to_string())),
    }
}

/// An id made of a name: `Éowyn of Rohan` is `eowyn-of-rohan`.
fn id_of(name: &str) -> Option<CharacterId> {
    let slug = slug(name, 40);
    // Some words are no files' names.
    let made = slug.parse().or_else(|_| format!("character-{slug}").parse());
    made.ok().filter(|_| !slug.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tests::file;

    type Read = Vec<(u64, Result<String, String>)>;

    fn read(name: &str, bytes: &[u8], more: &str) -> Result<Read, BookError> {
        let json = format!(r#"{{"project":"p","source":{{"name":"{name}","key":"files/x"}}{more}}}"#);
        let payload: ImportCharacters = serde_json::from_str(&json).unwrap();
        let (_file, source) = file(name, bytes);
        let mut items = Items::open(&source, &How::of(&payload, &source)?)?;
        let mut all = Vec::new();
        while let Some(item) = items.next()? {
            let told = item.character.map(|one| format!("{} {}", one.id, one.name));
            all.push((item.line, told.map_err(|flaw| flaw.problem)));
        }
        Ok(all)
    }

    fn good(read: &Read) -> Vec<&str> {
        read.iter().filter_map(|(_, one)| one.as_deref().ok()).collect()
    }

    #[test]
    fn one_that_is_wrong_is_told_with_its_line_and_leaves_the_others() {
        let table = "id;name;First Chapter\r\na;\"A\r\nB\";1\r\nb;;2\r\nc;C;x\r\nA;again;\r\nd;D;1;more\r\n../e;E\r\nf;F;;;\r\n";
        let all = read("cast.csv", table.as_bytes(), "").unwrap();
        assert_eq!(good(&all), ["a A\r\nB", "f F"]);
        let wrong = [(4, "name"), (5, "first_chapter"), (6, "line 2"), (7, "4 cells"), (8, "file's name")];
        let told: Vec<&(u64, Result<String, String>)> = all.iter().filter(|(_, one)| one.is_err()).collect();
        for ((line, word), (at, problem)) in wrong.iter().zip(&told) {
            let problem = problem.as_ref().unwrap_err();
            assert!(line == at && problem.contains(word), "{line} {at} {problem}");
        }
        assert_eq!(told.len(), wrong.len(), "{told:?}");
    }

    #[test]
    fn every_form_and_charset_says_the_same() {
        let wanted = ["eowyn Éowyn", "æ Æ"];
        let array = "[{\"id\":\"eowyn\",\"name\":\"Éowyn\",\"role\":null},\n{\"id\":\"æ\",\"name\":\"Æ\"}]";
        let lines = "{\"id\":\"eowyn\",\"name\":\"Éowyn\"}\n{\"id\":\"æ\",\"name\":\"Æ\"}\n";
        let table = "ID,Name\neowyn,Éowyn\næ,Æ\n";
        for (name, text) in [("x.json", array), ("x.jsonl", lines), ("x", lines), ("x.csv", table)] {
            let wide: Vec<u8> =
                [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
            let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
            let (latin, ..) = encoding_rs::WINDOWS_1252.encode(text);
            for (bytes, more) in
                [(text.as_bytes(), ""), (&wide, ""), (&marked, ""), (&*latin, r#","charset":"latin1""#)]
            {
                assert_eq!(good(&read(name, bytes, more).unwrap()), wanted, "{name} {more}");
            }
        }
    }

    #[test]
    fn fields_go_by_other_names_and_ids_are_made_of_names_where_that_is_said() {
        let more = r#","columns":{"Figur":"name"},"ids_from_names":true"#;
        let all = read("x.csv", "Figur\nÉowyn of Rohan\nCON\n***\n".as_bytes(), more).unwrap();
        assert_eq!(good(&all), ["eowyn-of-rohan Éowyn of Rohan", "character-con CON"]);
        assert!(all[2].1.as_ref().unwrap_err().contains("no id"));
        let all = read("x.json", br#"[{"Figur":"A B","Name ":1},{"figur":"C"}]"#, more).unwrap();
        assert_eq!((good(&all), all[0].1.is_err()), (vec!["c C"], true));
        let numbered = r#","columns":{"2":"id","1":"name"},"table":{"header":false}"#;
        assert_eq!(good(&read("x.csv", b"A;a;x\nB;b;y", numbered).unwrap()), ["a A", "b B"]);
    }

    #[test]
    fn what_is_no_list_of_characters_is_refused_with_what_to_do() {
        for (name, bytes, word) in [
            ("x.csv", &b"Figur;Rolle\nx;y\n"[..], "Figur=id"),
            ("x.xlsx", b"PK\x03\x04\0\0\0\0\0\0\0\0", "CSV"),
            ("x.json", b"7", "neither"),
            ("x.csv", b"", "empty"),
            ("x.csv", b"\xef\xbb\xbf\n\n", "nothing"),
        ] {
            let refused = read(name, bytes, "").unwrap_err().to_string();
            assert!(refused.contains(word), "{refused}");
        }
        let broken = [&b"id,name\na,"[..], "é".repeat(20).as_bytes(), b"\xff\n"].concat();
        assert!(read("x.csv", &broken, "").unwrap_err().to_string().contains("line 2"));
        let deep = format!("[{}{}]", "[".repeat(5_000), "]".repeat(5_000));
        assert!(
            read("x.json", deep.as_bytes(), "").unwrap()[0].1.as_ref().unwrap_err().contains("recursion")
        );
    }

    #[test]
    fn no_mutation_brings_the_reader_down() {
        use presswork::domain::{Random as _, SeededRandom};
        let random = SeededRandom::new(11);
        let inputs: [(&str, &[u8]); 3] = [
            ("x.csv", b"sep=;\r\nid;name;aliases;extra\r\na;\"A;\"\"\";b;{}\r\nb;B;;\r\n"),
            ("x.json", br#"[{"id":"a","name":"A","traits":["x"]},{"id":"b","name":"\u00e9"}]"#),
            ("x.jsonl", b"{\"id\":\"a\",\"name\":\"A\"}\n{\"id\":\"b\",\"name\":\"B\"}\n"),
        ];
        for round in 0..6_000_usize {
            let (name, input) = inputs[round % inputs.len()];
            let mut bytes = input.to_vec();
            for _ in 0..=random.below(4) {
                let place = usize::try_from(random.below(bytes.len().max(1) as u64)).unwrap();
                match random.below(4) {
                    0 if !bytes.is_empty() => bytes[place] ^= 1 << random.below(8),
                    1 => bytes.truncate(place),
                    2 => drop(bytes.splice(place..place, *b"\"[{;,\r\xff")),
                    _ => drop(bytes.splice(place..place, bytes.clone())),
                }
            }
            match read(name, &bytes, "") {
                Ok(all) => assert!(all.len() <= bytes.len(), "round {round}"),
                Err(BookError::Input { file, .. }) => assert_eq!(file, name, "round {round}"),
                Err(other) => panic!("round {round}: {other}"),
            }
        }
    }
}
