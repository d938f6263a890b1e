//! From a path to the files of a checkpoint: one file, a directory of shards, or an index.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::reader::{check_regular, open_reason};
use super::refuse;
use crate::error::Error;

/// The longest index that is read, as for a header.
const MAX_INDEX: u64 = 100_000_000;
const INDEX: &str = ".index.json";
const SHARD: &str = ".safetensors";

/// The safetensors files behind a path, in name order.
///
/// A directory stands for the shards its `*.safetensors.index.json` names, or without one for all
/// its `*.safetensors`. An index may name only files that lie beside it.
///
/// # Errors
/// [`Error::Checkpoint`] when there is nothing to read, or the index is not valid.
pub fn resolve(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let metadata = fs::metadata(path).map_err(|e| refuse(path, open_reason(&e)))?;
    if metadata.is_dir() {
        return directory(path);
    }
    if ends_with(path, INDEX) && metadata.is_file() {
        return index(path);
    }
    Ok(vec![path.to_owned()])
}

fn directory(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(path).map_err(|e| refuse(path, open_reason(&e)))?;
    // Hidden files are other programs' notes, not shards.
    let is_hidden = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let names: BTreeSet<PathBuf> = paths.filter(|path| !is_hidden(path)).collect();
    let indices: Vec<_> =
        names.iter().filter(|p| ends_with(p, &format!("{SHARD}{INDEX}"))).collect();
    match indices[..] {
        [one] => index(one),
        [] => {
            let shards: Vec<_> = names.into_iter().filter(|p| ends_with(p, SHARD)).collect();
            if shards.is_empty() {
                Err(refuse(path, "holds no safetensors file"))
            } else {
                Ok(shards)
            }
        }
        _ => Err(refuse(path, "holds more than one index; name one of them")),
    }
}

fn index(path: &Path) -> Result<Vec<PathBuf>, Error> {
    check_regular(path)?;
    let mut text = String::new();
    let file = File::open(path).map_err(|e| refuse(path, open_reason(&e)))?;
    file.take(MAX_INDEX + 1)
        .read_to_string(&mut text)
        .map_err(|_| refuse(path, "the index is not UTF-8 text"))?;
    if text.len() as u64 > MAX_INDEX {
        return Err(refuse(path, format!("the index is longer than {MAX_INDEX} bytes")));
    }
    let index: Index = serde_json::from_str(&text)
        .map_err(|e| refuse(path, format!("the index is not valid: {e}")))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let Shards(names) = index.weight_map;
    names.iter().map(|name| beside(path, folder, name)).collect()
}

/// A shard's path, refused unless it is a plain name in the index's own folder.
fn beside(index: &Path, folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let mut components = Path::new(name).components();
    let plain =
        matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    if !plain || name.contains(['/', '\\', '\0']) {
        return Err(refuse(index, format!("names {name:?}, which is no file beside it")));
    }
    let shard = folder.join(name);
    if shard.is_file() {
        Ok(shard)
    } else {
        Err(refuse(index, format!("names {name:?}, which is missing")))
    }
}

fn ends_with(path: &Path, suffix: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(suffix))
}

#[derive(Deserialize)]
struct Index {
    weight_map: Shards,
}

/// The distinct file names of a weight map.
struct Shards(BTreeSet<String>);

impl<'de> Deserialize<'de> for Shards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ShardsVisitor)
    }
}

struct ShardsVisitor;

impl<'de> Visitor<'de> for ShardsVisitor {
    type Value = Shards;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object that maps tensor names to file names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shards, A::Error> {
        let mut names = BTreeSet::new();
        while map.next_key::<IgnoredAny>()?.is_some() {
            names.insert(map.next_value::<String>()?);
        }
        Ok(Shards(names))
    }
}
