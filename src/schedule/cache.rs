//! Which results are written past the caches.

use std::sync::OnceLock;

/// What is assumed where the system does not say.
const USUAL: usize = 32 << 20;

/// Whether results of so many bytes, made of as many, had better be stored past the caches. It never
/// shows in what they are.
pub(crate) fn passes_caches(bytes: usize) -> bool {
    is_beyond(bytes, last_level_cache())
}

/// What results may take beside what they are made of in a cache of any size: of a very large one, which
/// many cores share, no program has the whole.
const MOST: usize = 8 << 20;

/// The measured crossover: what is read and what is written do not fit together. Below it a store
/// past the cache costs a little more, and whoever reads the result a lot; above it a plain store
/// first fetches what it overwrites (the tables are in `benches/record`, 2026-11-28 and 2026-11-30,
/// normalising).
fn is_beyond(bytes: usize, cache: usize) -> bool {
    bytes > (cache / 2).min(MOST)
}

/// Bytes of the last-level cache of the first CPU.
fn last_level_cache() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| {
        let sizes = (0..8).map_while(|i| {
            let path = format!("/sys/devices/system/cpu/cpu0/cache/index{i}/size");
            std::fs::read_to_string(path).ok()
        });
        sizes.filter_map(|size| parse(&size)).max().unwrap_or(USUAL)
    })
}

/// `"32768K"`, as Linux writes it.
fn parse(size: &str) -> Option<usize> {
    let kib = size.trim().strip_suffix('K')?;
    kib.parse::<usize>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::{is_beyond, parse};

    #[test]
    fn half_of_a_small_cache_is_the_crossover() {
        assert!(!is_beyond(4 << 20, 8 << 20));
        assert!(is_beyond((4 << 20) + 1, 8 << 20));
        assert!(is_beyond(1, 0));
    }

    #[test]
    fn a_large_cache_is_not_counted_on() {
        for cache in [16 << 20, 32 << 20, 260 << 20] {
            assert!(!is_beyond(8 << 20, cache));
            assert!(is_beyond((8 << 20) + 1, cache));
        }
    }

    #[test]
    fn sizes_are_read_as_linux_writes_them() {
        assert_eq!(parse("32768K\n"), Some(32 << 20));
        assert_eq!(parse("32M"), None);
    }
}
