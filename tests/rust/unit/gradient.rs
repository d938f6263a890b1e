//! The kernels of the gradient against naive loops, on every tier.

use half::{bf16, f16};

use super::gradient::{Correction, GradientKernels};
use crate::simd::Level;

fn noise(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / (1_u64 << 31) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Around the lanes, four of them, and beyond what is fetched ahead.
const SIDES: [(usize, usize); 9] =
    [(1, 1), (1, 7), (3, 8), (5, 16), (2, 31), (7, 33), (4, 64), (1, 1000), (40, 65)];

#[test]
fn inner_product_is_that_of_doubles() {
    for n in SIDES.map(|(m, n)| m * n) {
        let (x, y) = (noise(n, 1), noise(n, 2));
        let exact: f64 = x.iter().zip(&y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
        let got = Level::all().into_iter().map(|level| f32::inner(level, &x, &y).to_bits());
        let got: Vec<_> = got.collect();
        assert!(got.iter().all(|bits| *bits == got[0]), "tiers differ at {n}");
        assert!((f64::from_bits(got[0]) - exact).abs() <= 1e-14 * n as f64, "{n}");
    }
}

macro_rules! correction_is_the_formula {
    ($($name:ident: $t:ty, $a:ty, $eps:expr, $from:expr;)*) => {$(
        #[test]
        fn $name() {
            let from: fn(f32) -> $t = $from;
            for ((m, n), stream) in SIDES.iter().flat_map(|s| [(*s, false), (*s, true)]) {
                let g: Vec<$t> = noise(m * n, 3).into_iter().map(from).collect();
                let u: Vec<$a> = noise(m, 4).into_iter().map(<$a>::from).collect();
                let v: Vec<$a> = noise(n, 5).into_iter().map(<$a>::from).collect();
                let (scale, pull) = (0.7, -1.3);
                let mut first: Option<Vec<$t>> = None;
                for level in Level::all() {
                    let mut out = vec![from(f32::NAN); m * n];
                    let (g, u, v) = (&g[..], &u[..], &v[..]);
                    let out_of = &mut out[..];
                    let correction = Correction { g, scale, pull, u, v, out: out_of, stream };
                    <$t>::correct(level, correction);
                    for (k, (out, g)) in out.iter().zip(g).enumerate() {
                        let edge = f64::from(u[k / n]) * f64::from(v[k % n]);
                        let expected = scale * f64::from(*g) + pull * edge;
                        let error = (f64::from(*out) - expected).abs();
                        assert!(error <= 4.0 * $eps * (1.0 + expected.abs()), "{m}x{n} at {k}");
                    }
                    let first = first.get_or_insert_with(|| out.clone());
                    assert_eq!(&out, first, "tiers differ at {m}x{n}");
                }
            }
        }
    )*};
}

correction_is_the_formula! {
    correction_of_singles: f32, f32, f64::from(f32::EPSILON), |x| x;
    correction_of_doubles: f64, f64, f64::EPSILON, f64::from;
    correction_of_halves: f16, f32, f64::from(f16::EPSILON), f16::from_f32;
    correction_of_bfloats: bf16, f32, f64::from(bf16::EPSILON), bf16::from_f32;
}

#[test]
#[should_panic(expected = "sizes")]
fn vectors_of_another_shape_are_refused() {
    let (u, v, mut out) = ([0.0_f32; 2], [0.0_f32; 3], [0.0_f32; 4]);
    let out = &mut out[..];
    let correction =
        Correction { g: &[0.0; 6], scale: 1.0, pull: 0.0, u: &u, v: &v, out, stream: false };
    f32::correct(Level::all()[0], correction);
}
