//! Trees of objects, written from the leaves up as they fill: pages (ISO 32000-1 §7.7.3) and numbers (§7.9.7). Only
//! one open node a level is kept.

use std::io::{self, Write};

use pdf_writer::{Finish, Name, Ref, Str};

use super::objects::Objects;

/// How many children a node has.
const FAN_OUT: usize = 64;

/// An open node.
#[derive(Debug)]
struct Node {
    id: Ref,
    kids: Vec<Ref>,
    pages: i32,
}

/// A part of the page tree.
#[derive(Debug, Default)]
pub(super) struct Pages {
    levels: Vec<Node>,
    count: i32,
}

impl Pages {
    /// How many pages it has.
    pub(super) fn count(&self) -> i32 {
        self.count
    }

    /// The parent of the page that is added next.
    pub(super) fn parent(&mut self, objects: &mut Objects) -> Ref {
        self.level(objects, 0).id
    }

    fn level(&mut self, objects: &mut Objects, level: usize) -> &mut Node {
        if self.levels.len() <= level {
            self.levels.push(Node { id: objects.alloc(), kids: Vec::new(), pages: 0 });
        }
        &mut self.levels[level]
    }

    /// Adds a page, whose parent was asked for.
    pub(super) fn add(&mut self, objects: &mut Objects, out: &mut dyn Write, page: Ref) -> io::Result<()> {
        self.count += 1;
        let (mut kid, mut pages, mut at) = (page, 1, 0);
        loop {
            let node = self.level(objects, at);
            node.kids.push(kid);
            node.pages += pages;
            if node.kids.len() < FAN_OUT {
                return Ok(());
            }
            let parent = self.level(objects, at + 1).id;
            let id = objects.alloc();
            let full = std::mem::replace(&mut self.levels[at], Node { id, kids: Vec::new(), pages: 0 });
            (kid, pages, at) = (full.id, full.pages, at + 1);
            write_node(objects, out, &full, parent)?;
        }
    }

    /// Writes what is open; the top node below `root`, if there is any page.
    pub(super) fn finish(
        mut self,
        objects: &mut Objects,
        out: &mut dyn Write,
        root: Ref,
    ) -> io::Result<Option<Ref>> {
        let mut below: Option<(Ref, i32)> = None;
        let mut levels = std::mem::take(&mut self.levels).into_iter().peekable();
        while let Some(mut node) = levels.next() {
            if let Some((kid, pages)) = below.take() {
                node.kids.push(kid);
                node.pages += pages;
            }
            if node.kids.is_empty() && levels.peek().is_some() {
                continue;
            }
            if node.kids.is_empty() {
                return Ok(None);
            }
            let parent = levels.peek().map_or(root, |parent| parent.id);
            write_node(objects, out, &node, parent)?;
            below = Some((node.id, node.pages));
        }
        Ok(below.map(|(id, _)| id))
    }
}

fn write_node(objects: &mut Objects, out: &mut dyn Write, node: &Node, parent: Ref) -> io::Result<()> {
    objects.object(out, node.id, |object| {
        let mut dict = object.dict();
        dict.pair(Name(b"Type"), Name(b"Pages")).pair(Name(b"Parent"), parent);
        dict.pair(Name(b"Count"), node.pages);
        dict.insert(Name(b"Kids")).array().items(&node.kids);
    })
}

/// A tree from ascending numbers to objects; as names of eight digits, where it is a tree of names.
#[derive(Debug)]
pub(super) struct Numbers {
    /// `Nums` or `Names`.
    key: &'static [u8],
    entries: Vec<(i32, Ref)>,
    /// Full nodes by level, with the first and last number below each.
    levels: Vec<Vec<(Ref, i32, i32)>>,
}

/// How an element is named in the tree of names.
pub(super) fn key(number: i32) -> String {
    format!("n{number:010}")
}

impl Numbers {
    /// A tree of numbers.
<<<<<<< HEAD
    pub(super) fn of_numbers() -> Self {
=======
    pub(super) fn by_number() -> Self {
>>>>>>> fix3
        Self { key: b"Nums", entries: Vec::new(), levels: Vec::new() }
    }

    /// A tree of [`key`]s.
    pub(super) fn names() -> Self {
<<<<<<< HEAD
        Self { key: b"Names", ..Self::of_numbers() }
=======
        Self { key: b"Names", ..Self::by_number() }
>>>>>>> fix3
    }

    /// Adds an entry behind all others.
    pub(super) fn add(
        &mut self,
        objects: &mut Objects,
        out: &mut dyn Write,
        number: i32,
        value: Ref,
    ) -> io::Result<()> {
        self.entries.push((number, value));
        if self.entries.len() < FAN_OUT {
            return Ok(());
        }
        let mut node = self.write_leaf(objects, out)?;
        for level in 0.. {
            if self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(node);
            if nodes.len() < FAN_OUT {
                break;
            }
            let nodes = std::mem::take(nodes);
            node = self.write_node(objects, out, &nodes)?;
        }
        Ok(())
    }

    fn write_leaf(&mut self, objects: &mut Objects, out: &mut dyn Write) -> io::Result<(Ref, i32, i32)> {
        let entries = std::mem::take(&mut self.entries);
        let first = entries.first().map_or(0, |entry| entry.0);
        let last = entries.last().map_or(0, |entry| entry.0);
        let id = objects.alloc();
        let is_names = self.key == b"Names";
        objects.object(out, id, |object| {
            let mut dict = object.dict();
            limits(&mut dict, is_names, first, last);
            let mut array = dict.insert(Name(self.key)).array();
            for (number, value) in &entries {
                if is_names {
                    array.item(Str(key(*number).as_bytes())).item(*value);
                } else {
                    array.item(*number).item(*value);
                }
            }
        })?;
        Ok((id, first, last))
    }

    fn write_node(
        &self,
        objects: &mut Objects,
        out: &mut dyn Write,
        nodes: &[(Ref, i32, i32)],
    ) -> io::Result<(Ref, i32, i32)> {
        let (first, last) = (nodes.first().map_or(0, |node| node.1), nodes.last().map_or(0, |node| node.2));
        let id = objects.alloc();
        objects.object(out, id, |object| {
            let mut dict = object.dict();
            limits(&mut dict, self.key == b"Names", first, last);
            dict.insert(Name(b"Kids")).array().items(nodes.iter().map(|node| node.0));
        })?;
        Ok((id, first, last))
    }

    /// Writes the rest and the root; `None` where there is no entry.
    pub(super) fn finish(mut self, objects: &mut Objects, out: &mut dyn Write) -> io::Result<Option<Ref>> {
        let mut tail = match self.entries.is_empty() {
            true => None,
            false => Some(self.write_leaf(objects, out)?),
        };
        for mut nodes in std::mem::take(&mut self.levels) {
            nodes.extend(tail.take());
            if !nodes.is_empty() {
                tail = Some(self.write_node(objects, out, &nodes)?);
            }
        }
        let Some((top, ..)) = tail else { return Ok(None) };
        // The root has no limits, so it is a node of its own.
        let root = objects.alloc();
        objects.object(out, root, |object| {
            let mut dict = object.dict();
            dict.insert(Name(b"Kids")).array().item(top);
            dict.finish();
        })?;
        Ok(Some(root))
    }
}

fn limits(dict: &mut pdf_writer::Dict<'_>, is_names: bool, first: i32, last: i32) {
    let mut array = dict.insert(Name(b"Limits")).array();
    if is_names {
        array.item(Str(key(first).as_bytes())).item(Str(key(last).as_bytes()));
    } else {
        array.items([first, last]);
    }
}
