//! `presswork enqueue characters FILE --project ID`.

use std::path::PathBuf;

use clap::Args;
use presswork::{
    cli::{CliError, Door, Submit, one_of},
    domain::ProjectId,
};

use super::{
    super::{
        Handed,
        submit::{address, upload_file},
    },
    Form, ImportCharacters, MOST_FILE_BYTES, Sign, Table, Tolerance,
    payload::{MOST_BATCH, usual_batch},
};

/// What `enqueue characters` is told.
#[derive(Debug, Args)]
pub struct CharactersArguments {
    /// The file: CSV, a JSON array, or JSON Lines; or its https:// address, which the job fetches
    path: PathBuf,
    /// The project that they go into
    #[arg(long)]
    project: ProjectId,
    /// What it is [default: told by its content]
    #[arg(long, value_parser = one_of::<Form>(Form::ALL.map(Form::name)))]
    format: Option<Form>,
    /// Its charset, such as utf-8, windows-1252 or shift_jis [default: told by its content]
    #[arg(long)]
    charset: Option<String>,
    /// CSV: what stands between cells, such as comma, semicolon or tab [default: told by its content]
    #[arg(long, value_name = "SIGN")]
    delimiter: Option<Sign>,
    /// CSV: what stands around cells, quote or apostrophe [default: told by its content]
    #[arg(long, value_name = "SIGN")]
    quote: Option<Sign>,
    /// CSV: what stands before a quote inside of quotes, where that is not doubled
    #[arg(long, value_name = "SIGN")]
    escape: Option<Sign>,
    /// CSV: the first row is a character, too; the columns are called 1, 2, 3…
    #[arg(long)]
    no_header: bool,
    /// Which field a column or key is, such as Figure=name; nothing behind = leaves it out; may be repeated
    #[arg(long = "column", value_name = "COLUMN=FIELD", value_parser = column)]
    columns: Vec<(String, String)>,
    /// Make the ids of the names where there are none
    #[arg(long)]
    ids_from_names: bool,
    /// Replace characters that are there and are not the same [default: leave them alone]
    #[arg(long)]
    replace: bool,
    /// How many are stored before that is noted: an interrupted job goes on behind the last batch
    #[arg(long, value_name = "COUNT", default_value_t = usual_batch(),
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_BATCH)))]
    batch_size: u32,
    /// How many may fail, a count such as 10 or a share such as 2.5%; where more do, nothing is stored [default: all but one]
    #[arg(long, value_name = "HOW MANY")]
    max_failures: Option<Tolerance>,
}

fn column(text: &str) -> Result<(String, String), String> {
    let (column, field) =
        text.rsplit_once('=').ok_or("write it as COLUMN=FIELD, such as Figure=name".to_owned())?;
    Ok((column.trim().to_owned(), field.trim().to_owned()))
}

impl Submit for ImportCharacters {
    const ABOUT: &'static str = "Brings many characters into a project";
    type Arguments = CharactersArguments;

    async fn prepare(arguments: CharactersArguments, door: &Door) -> Result<Self, CliError> {
        let CharactersArguments { delimiter, quote, escape, no_header, .. } = arguments;
        let too_large = "a file of characters may have 1 GiB at most: divide it";
        let mut payload = Self {
            project: arguments.project,
            source: Handed::at("", ""),
            format: arguments.format,
            charset: arguments.charset,
            table: Table { delimiter, quote, escape, header: !no_header },
            columns: arguments.columns.into_iter().collect(),
            ids_from_names: arguments.ids_from_names,
            replace: arguments.replace,
            batch_size: arguments.batch_size,
            max_failures: arguments.max_failures,
        };
        // Said before anything is copied.
        payload.problem().map_err(CliError::usage)?;
        payload.source = match address(&arguments.path) {
            Some(url) => Handed::from_web(url),
            None => upload_file(door, &arguments.path, MOST_FILE_BYTES, too_large).await?,
        };
        Ok(payload)
    }
}
