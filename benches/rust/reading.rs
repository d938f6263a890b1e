//! The machine's own read sweep: how fast a buffer can be read at all.
//!
//! It sums the elements, since a load whose value nobody needs would be removed. Eight
//! accumulators hide the latency of the additions, so that only the loads count.
#![expect(unsafe_code, reason = "the yardstick is what the hardware can do")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

const ACCUMULATORS: usize = 8;

/// Reads every element once.
pub(crate) fn sweep(data: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the CPU has the one feature that the function enables.
            return unsafe { sweep_avx512(data) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { sweep_avx2(data) };
        }
    }
    sweep_portable(data)
}

/// Which of the sweeps runs here.
pub(crate) fn name() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if is_x86_feature_detected!("avx2") {
            return "avx2";
        }
    }
    "portable"
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn sweep_avx512(data: &[f32]) -> f32 {
    let (chunks, rest) = data.as_chunks::<{ 16 * ACCUMULATORS }>();
    let mut sums = [_mm512_setzero_ps(); ACCUMULATORS];
    for chunk in chunks {
        for (sum, lanes) in sums.iter_mut().zip(chunk.as_chunks::<16>().0) {
            // SAFETY: `lanes` is a reference to the sixteen elements that are loaded, and the load
            // asks for no alignment.
            *sum = _mm512_add_ps(*sum, unsafe { _mm512_loadu_ps(lanes.as_ptr()) });
        }
    }
    sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum::<f32>() + sweep_portable(rest)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sweep_avx2(data: &[f32]) -> f32 {
    let (chunks, rest) = data.as_chunks::<{ 8 * ACCUMULATORS }>();
    let mut sums = [_mm256_setzero_ps(); ACCUMULATORS];
    for chunk in chunks {
        for (sum, lanes) in sums.iter_mut().zip(chunk.as_chunks::<8>().0) {
            // SAFETY: `lanes` is a reference to the eight elements that are loaded, and the load
            // asks for no alignment.
            *sum = _mm256_add_ps(*sum, unsafe { _mm256_loadu_ps(lanes.as_ptr()) });
        }
    }
    let mut total = [0.0; 8];
    for sum in sums {
        let mut lanes = [0.0; 8];
        // SAFETY: `lanes` has room for the eight elements that are stored.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
        total.iter_mut().zip(lanes).for_each(|(total, lane)| *total += lane);
    }
    total.into_iter().sum::<f32>() + sweep_portable(rest)
}

fn sweep_portable(data: &[f32]) -> f32 {
    let (chunks, rest) = data.as_chunks::<{ 8 * ACCUMULATORS }>();
    let mut sums = [0.0; 8 * ACCUMULATORS];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x);
    }
    sums.into_iter().chain(rest.iter().copied()).sum()
}
