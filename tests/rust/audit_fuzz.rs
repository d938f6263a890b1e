//! The checkpoint reader against damaged files: an answer or [`Error::Checkpoint`], never a panic
//! and never memory beyond the file's own size.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use proptest::prelude::*;
use rsspecnorm::Error;
use rsspecnorm::audit::{Checkpoint, Plan, Settings, Status, resolve};

/// A file of its own for each case, removed when the case ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(bytes: &[u8]) -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir()
            .join(format!("rsspecnorm-fuzz-{}-{id}.safetensors", std::process::id()));
        fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on the removal; the temporary folder is cleaned by the system.
        let _ = fs::remove_file(&self.0);
    }
}

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

const VALID: &str = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"s":{"dtype":"BF16","shape":[2,2,1],"data_offsets":[24,32]},"e":{"dtype":"F64","shape":[0,7],"data_offsets":[32,32]},"i":{"dtype":"I64","shape":[1],"data_offsets":[32,40]}}"#;

fn valid() -> Vec<u8> {
    file(VALID, &[0x3f; 40])
}

/// Opens and plans; the number of rows, or the reason there is none.
fn read(bytes: &[u8]) -> Result<usize, Error> {
    let scratch = Scratch::new(bytes);
    let checkpoint = Checkpoint::open(scratch.path())?;
    Ok(Plan::new(checkpoint.tensors())?.len())
}

fn is_checkpoint_or_ok(result: &Result<usize, Error>) -> bool {
    matches!(result, Ok(_) | Err(Error::Checkpoint { .. }))
}

#[test]
fn valid_file_gives_a_row_per_matrix() {
    assert_eq!(read(&valid()), Ok(4)); // a, s[0], s[1], e
}

#[test]
fn run_gives_the_norms_done_by_hand() {
    let header = r#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"copy":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]}}"#;
    let diagonal: Vec<u8> = [3.0_f32, 0.0, 0.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let scratch = Scratch::new(&file(header, &diagonal.repeat(2)));
    let checkpoint = Checkpoint::open(scratch.path()).unwrap();
    let plan = Plan::new(checkpoint.tensors()).unwrap();
    let rows = Mutex::new(Vec::new());
    plan.run(&Settings::default(), None, &|row| rows.lock().unwrap().push(row)).unwrap();
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|row| row.index);
    assert_eq!(rows.iter().map(|row| row.sigma_max).collect::<Vec<_>>(), [4.0, 4.0]);
    assert_eq!((rows[0].fro, rows[0].max_abs, rows[0].status), (5.0, 4.0, Status::Ok));
    assert_eq!(rows[1].same_as.as_deref(), Some("a"));
}

#[test]
fn run_ends_when_it_is_told_to() {
    let scratch = Scratch::new(&valid());
    let checkpoint = Checkpoint::open(scratch.path()).unwrap();
    let plan = Plan::new(checkpoint.tensors()).unwrap();
    let outcome = plan.run(&Settings::default(), Some(&mut || true), &|_| ());
    assert_eq!(outcome, Err(Error::Interrupted));
}

#[test]
fn lying_headers_are_refused_with_a_reason() {
    let tensor = |shape: &str, offsets: &str| {
        let entry =
            format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
        file(&entry, &[0; 16])
    };
    let mut endless = valid();
    endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let deep = file(&format!("{{\"a\":{}", "[".repeat(100_000)), &[]);
    let ranks = format!("[{}1]", "1,".repeat(100));
    let cases: [(&str, Vec<u8>); 12] = [
        ("empty", vec![]),
        ("too short", vec![1, 2, 3]),
        ("truncated", valid()[..valid().len() - 1].to_vec()),
        ("announced", endless),
        ("UTF-8", file("{\"a", &[]).iter().map(|&b| if b == b'a' { 0xff } else { b }).collect()),
        ("not valid", file(r#"{"a":{"dtype":"F32","shape":[[[["#, &[])),
        ("not valid", deep),
        ("not valid", tensor("[4294967295,4294967295,4294967295]", "[0,16]")),
        ("not valid", tensor("[2,2]", "[8,24]")),
        ("truncated", tensor("[10,4]", "[0,160]")),
        ("not valid", tensor("[3,2]", "[0,16]")),
        ("dimensions", tensor(&ranks, "[0,16]")),
    ];
    for (fragment, bytes) in cases {
        let error = read(&bytes).expect_err(fragment).to_string();
        assert!(!error.contains('\n'), "{error}");
        assert!(error.contains(fragment), "{fragment}: {error}");
    }
}

#[test]
fn repeated_name_is_refused() {
    let entry = r#""a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    let error = read(&file(&format!("{{{entry},{entry}}}"), &[])).unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
}

#[test]
fn stack_without_data_is_one_row() {
    let header = r#"{"a":{"dtype":"F32","shape":[1099511627776,0,5],"data_offsets":[0,0]}}"#;
    assert_eq!(read(&file(header, &[])), Ok(1));
}

#[test]
fn stack_of_millions_is_refused() {
    let header = r#"{"a":{"dtype":"F16","shape":[1000001,1,1],"data_offsets":[0,2000002]}}"#;
    let error = read(&file(header, &vec![0; 2_000_002])).unwrap_err();
    assert!(error.to_string().contains("1000000 matrices"), "{error}");
}

#[test]
fn folder_and_missing_file_are_refused() {
    for path in [std::env::temp_dir(), PathBuf::from("no/such/file")] {
        assert!(matches!(Checkpoint::open(&path), Err(Error::Checkpoint { .. })));
    }
    assert!(resolve(Path::new("no/such/file")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn mutated_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = valid();
        for (at, value) in changes {
            let n = bytes.len();
            bytes[at.index(n)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        prop_assert!(is_checkpoint_or_ok(&read(&bytes)));
    }

    #[test]
    fn arbitrary_entries_never_panic(
        dtype in prop::sample::select(vec!["F16", "BF16", "F32", "F64", "I64", "F4", "X"]),
        shape in prop::collection::vec(prop_oneof![0..5_u64, any::<u64>()], 0..7),
        start in prop_oneof![0..50_u64, any::<u64>()],
        end in prop_oneof![0..50_u64, any::<u64>()],
    ) {
        let header = format!(
            r#"{{"a":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}}}"#
        );
        prop_assert!(is_checkpoint_or_ok(&read(&file(&header, &[7; 40]))));
    }

    #[test]
    fn spliced_headers_never_panic(
        at in any::<prop::sample::Index>(),
        text in "[\\[\\]{}\",:0-9a-z\\\\]{0,12}",
    ) {
        let at = at.index(VALID.len());
        let header = format!("{}{text}{}", &VALID[..at], &VALID[at..]);
        prop_assert!(is_checkpoint_or_ok(&read(&file(&header, &[0x3f; 40]))));
    }
}
