//! The JSON header of a safetensors file, parsed within bounds.
//!
//! The `safetensors` crate checks that tensors lie side by side without overlap, that shapes do not
//! overflow and fit their byte ranges. Its own parser, however, buffers every value before it knows
//! its type, so a 100 MB header of small integers costs gigabytes; and it lets a repeated name win
//! silently. The parser here reads straight into typed entries, caps the rank of a shape, and
//! refuses repeated names; the crate's [`Metadata`] then validates what was read.

use std::collections::HashSet;
use std::fmt;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The longest header that is parsed, as the reference reader has it.
const MAX_HEADER: usize = 100_000_000;
/// Bytes of the little-endian header length at the start of a file.
const LENGTH: usize = 8;
/// The most dimensions a shape may have; NumPy's own limit.
const MAX_RANK: usize = 64;
/// The most characters of a parser's message that are passed on.
const MAX_MESSAGE: usize = 200;

/// A file's tensors in the order of their data, and where the data begins.
pub(super) struct Header {
    pub(super) tensors: Vec<(String, TensorInfo)>,
    pub(super) data_start: usize,
}

/// Reads and checks the header of a whole file.
pub(super) fn parse(file: &[u8]) -> Result<Header, String> {
    let text = header_text(file)?;
    let Entries(mut tensors) = serde_json::from_str(text)
        .map_err(|e| format!("the safetensors header is not valid: {}", brief(&e.to_string())))?;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let data_start = LENGTH + text.len();
    // One clone of the entries: the crate keeps what it validates and hands back only copies.
    Metadata::new(None, tensors.clone())
        .map_err(|e| format!("the safetensors header is not valid: {}", brief(&e.to_string())))?;
    check_extent(&tensors, file.len() - data_start)?;
    Ok(Header { tensors, data_start })
}

fn header_text(file: &[u8]) -> Result<&str, String> {
    let Some((length, rest)) = file.split_first_chunk::<LENGTH>() else {
        return Err(format!("too short for a safetensors file ({} bytes)", file.len()));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER as u64 {
        return Err(format!(
            "not a safetensors file: a header of {length} bytes is announced, at most \
             {MAX_HEADER} are read"
        ));
    }
    let header = usize::try_from(length).ok().and_then(|n| rest.get(..n)).ok_or_else(|| {
        format!("truncated: the header takes {length} bytes and {} are left", rest.len())
    })?;
    std::str::from_utf8(header)
        .map_err(|_| "not a safetensors file: the header is not UTF-8".to_owned())
}

fn check_extent(tensors: &[(String, TensorInfo)], available: usize) -> Result<(), String> {
    let needed = tensors.last().map_or(0, |(_, info)| info.data_offsets.1);
    match needed.cmp(&available) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => {
            Err(format!("truncated: the tensors take {needed} bytes and {available} are left"))
        }
        std::cmp::Ordering::Less => Err(format!(
            "{} bytes follow the last tensor, so the header does not belong to this file",
            available - needed
        )),
    }
}

/// A message cut to one short line.
fn brief(message: &str) -> String {
    let line: String = message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect();
    if line.len() < message.len() { line + "..." } else { line }
}

/// The header's tensors in the order written, without `__metadata__`.
struct Entries(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut seen = HashSet::new();
        let mut tensors = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format!("the name {name:?} appears twice")));
            }
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
            } else {
                tensors.push((name, map.next_value::<Entry>()?.into()));
            }
        }
        Ok(Entries(tensors))
    }
}

#[derive(Deserialize)]
struct Entry {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (usize, usize),
}

impl From<Entry> for TensorInfo {
    fn from(entry: Entry) -> Self {
        Self { dtype: entry.dtype, shape: entry.shape.0, data_offsets: entry.data_offsets }
    }
}

/// A shape of at most [`MAX_RANK`] dimensions.
struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a shape of at most {MAX_RANK} dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut shape = Vec::new();
        while let Some(extent) = seq.next_element()? {
            if shape.len() == MAX_RANK {
                return Err(A::Error::invalid_length(MAX_RANK + 1, &self));
            }
            shape.push(extent);
        }
        Ok(Shape(shape))
    }
}
