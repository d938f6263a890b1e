//! How large the last-level cache is: what is larger is written past it.

use std::sync::OnceLock;

/// What is assumed where the system does not say.
const USUAL: usize = 32 << 20;

/// Bytes of the last-level cache of the first CPU. It decides how results are stored, never what
/// they are.
pub(crate) fn last_level_cache() -> usize {
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
