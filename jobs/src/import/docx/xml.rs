//! XML as a stream of elements, with bounds: no DOCTYPE, no entities of a document's own, depth, and bytes an element.
//! Names are without their prefixes, as every program chooses its own.

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use quick_xml::{Reader, events::Event};

use crate::book::BookError;

/// How deep elements may be nested.
const MOST_DEPTH: usize = 512;
/// How many bytes a tag or a text has at most.
const MOST_PIECE_BYTES: u64 = 4 << 20;

/// An element's start.
#[derive(Clone, Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    /// An attribute.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `w:val`, by which most properties say what they are.
    pub(super) fn value(&self) -> &str {
        self.get("val").unwrap_or_default()
    }

    /// Whether a property that is there is on.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self.value(), "0" | "false" | "off" | "none")
    }
}

/// The next piece of a document.
#[derive(Debug)]
pub(super) enum Node {
    Start(Element),
    End,
    Text(String),
    Eof,
}

/// A document that is being read.
pub(super) struct Xml<'a> {
    reader: Reader<Bounded<'a>>,
    place: String,
    buffer: Vec<u8>,
    depth: usize,
    left: Rc<Cell<u64>>,
}

impl<'a> Xml<'a> {
    /// Reads `input`; errors name `place`.
    pub(super) fn new(input: impl Read + 'a, place: &str) -> Self {
        let left = Rc::new(Cell::new(MOST_PIECE_BYTES));
        let input: Box<dyn BufRead> = Box::new(BufReader::with_capacity(64 << 10, input));
        let mut reader = Reader::from_reader(Bounded { input, left: Rc::clone(&left) });
        reader.config_mut().expand_empty_elements = true;
        Self { reader, place: place.to_owned(), buffer: Vec::new(), depth: 0, left }
    }

    /// How many elements are open.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> u64 {
        self.reader.buffer_position()
    }

    /// An error here.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> BookError {
        BookError::at(&self.place, format!("byte {}", self.position()), problem)
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Result<Node, BookError> {
        loop {
            self.buffer.clear();
            self.left.set(MOST_PIECE_BYTES);
            let position = self.reader.buffer_position();
            let wrong =
                |problem: String| Err(BookError::at(&self.place, format!("byte {position}"), problem));
            let event = match self.reader.read_event_into(&mut self.buffer) {
                Ok(event) => event,
                Err(quick_xml::Error::Io(_)) if self.left.get() == 0 => {
                    return wrong("a piece of it has more than 4 MiB".to_owned());
                }
                Err(quick_xml::Error::Io(error)) => {
                    // What the archive's reader found wrong travels inside.
                    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<BookError>());
                    return Err(match inner {
                        Some(BookError::Input { file, place, problem }) => BookError::Input {
                            file: file.clone(),
                            place: place.clone(),
                            problem: problem.clone(),
                        },
                        _ => {
                            let error = io::Error::new(error.kind(), error.to_string());
                            BookError::storage(format!("reading {}", self.place), error)
                        }
                    });
                }
                Err(error) => return wrong(format!("the XML is broken: {error}")),
            };
            return Ok(match event {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > MOST_DEPTH {
                        return wrong(format!("nested more than {MOST_DEPTH} deep"));
                    }
                    let name = start.local_name().as_ref().to_owned();
                    let mut attributes = Vec::new();
                    for attribute in start.attributes().with_checks(false) {
                        let Ok(attribute) = attribute else {
                            return wrong("an attribute is broken".to_owned());
                        };
                        let key = attribute.key.local_name().as_ref().to_owned();
                        attributes.push((key, unescaped(&attribute.value)));
                    }
                    Node::Start(Element { name, attributes })
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    Node::End
                }
                Event::Text(text) => Node::Text(text.into_inner().into_owned()),
                Event::CData(text) => Node::Text(text.into_inner().into_owned()),
                Event::GeneralRef(reference) => match entity(&reference.into_inner()) {
                    Some(c) => Node::Text(c.to_string()),
                    None => {
                        return wrong(
                            "an entity is used that XML does not have, which is refused".to_owned(),
                        );
                    }
                },
                Event::DocType(_) => {
                    return wrong("it has a DOCTYPE, which no word processor writes: refused".to_owned());
                }
                Event::Eof if self.depth > 0 => {
                    return wrong("the XML ends in the middle: the file is cut off".to_owned());
                }
                Event::Eof => Node::Eof,
                _ => continue,
            });
        }
    }

    /// Passes over the element that has just begun.
    pub(super) fn skip(&mut self) -> Result<(), BookError> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.next()? {
                Node::Start(_) => depth += 1,
                Node::End => depth -= 1,
                Node::Text(_) => {}
                Node::Eof => return Ok(()),
            }
        }
        Ok(())
    }

    /// The text in the element that has just begun.
    pub(super) fn text(&mut self, most: usize) -> Result<String, BookError> {
        let (mut depth, mut all) = (1_usize, String::new());
        while depth > 0 {
            match self.next()? {
                Node::Start(_) => depth += 1,
                Node::End => depth -= 1,
                Node::Text(text) if all.len() + text.len() <= most => all.push_str(&text),
                Node::Text(_) => {}
                Node::Eof => break,
            }
        }
        Ok(all)
    }

    /// Calls `with` for each element inside the one that has just begun; it reads or skips that to its end.
    pub(super) fn children(
        &mut self,
        with: &mut dyn FnMut(&mut Self, Element) -> Result<(), BookError>,
    ) -> Result<(), BookError> {
        loop {
            match self.next()? {
                Node::Start(element) => with(self, element)?,
                Node::Text(_) => {}
                Node::End | Node::Eof => return Ok(()),
            }
        }
    }
}

/// Fails where one piece takes too many bytes.
struct Bounded<'a> {
    input: Box<dyn BufRead + 'a>,
    left: Rc<Cell<u64>>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.input.read(into)
    }
}

impl BufRead for Bounded<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left.get() == 0 {
            return Err(io::Error::other("too large"));
        }
        self.input.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.left.set(self.left.get().saturating_sub(bytes as u64));
        self.input.consume(bytes);
    }
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    })
}

fn unescaped(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(place) = rest.find('&') {
        text.push_str(&rest[..place]);
        rest = &rest[place + 1..];
        let end = rest.bytes().take(12).position(|byte| byte == b';');
        match end.and_then(|end| Some((end, entity(&rest[..end])?))) {
            Some((end, c)) => {
                text.push(c);
                rest = &rest[end + 1..];
            }
            None => text.push('&'),
        }
    }
    text.push_str(rest);
    text
}
