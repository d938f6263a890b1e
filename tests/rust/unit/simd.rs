//! The tiers: what their tokens prove, and the same bits from every operation.

use half::{bf16, f16};

use super::{Aligned, Kernel, LANES, Lanes, Level, Simd, Vector};

/// The features named in the text between `from` and the next `until`.
fn features(source: &str, from: &str, until: &str) -> Vec<String> {
    let start = source.find(from).expect("the text begins somewhere") + from.len();
    let piece = &source[start..start + source[start..].find(until).expect("and ends")];
    let quoted = piece.split('"').skip(1).step_by(2);
    let mut names: Vec<String> =
        quoted.flat_map(|names| names.split(',')).map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn tokens_test_for_the_features_that_kernels_are_compiled_with() {
    for source in
        [include_str!("../../../src/simd/avx2.rs"), include_str!("../../../src/simd/avx512.rs")]
    {
        let tested = features(source, "pub fn new()", "then_some");
        let attribute = source.find("fn enter").map(|end| &source[..end]).expect("has an entry");
        let enabled = &attribute[attribute.rfind("#[target_feature").expect("has an attribute")..];
        assert_eq!(tested, features(enabled, "enable", ")]"));
        assert!(!tested.is_empty());
    }
}

#[test]
fn levels_are_listed_from_the_portable_one_up() {
    let names = super::available_levels();
    assert_eq!(names[0], "portable");
    assert_eq!(names, Level::all().into_iter().map(Level::name).collect::<Vec<_>>());
    assert!(names.contains(&super::level_name().unwrap()));
}

#[test]
fn aligned_vectors_start_on_a_cache_line() {
    for n in [0, 1, 7, 8, 9, 1000] {
        let x: Aligned = Aligned::zeros(n);
        assert_eq!(x.len(), n);
        assert_eq!(x.as_ptr() as usize % (8 * LANES), 0, "n = {n}");
        assert!(x.iter().all(|&x| x == 0.0));
    }
}

#[test]
fn aligned_vectors_grow_with_zeros_and_keep_what_they_hold() {
    let mut x: Aligned<f32> = Aligned::with_capacity(10);
    for i in 1..=60 {
        let before = x.to_vec();
        x.grow(i);
        assert_eq!(x[..before.len()], before, "{i}");
        assert!(x[before.len()..].iter().all(|&x| x == 0.0), "{i}");
        assert_eq!(x.len(), before.len() + i);
        assert_eq!(x.as_ptr().addr() % 64, 0, "{i}");
        x.iter_mut().for_each(|x| *x += 1.0);
    }
}

/// Every operation on doubles, its lanes written out one after the other.
struct Doubles([f64; 8], [f64; 8], [f64; 8]);

impl Kernel for Doubles {
    type Output = Vec<u64>;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Vec<u64> {
        let Self(x, y, z) = self;
        let (x, y) = (<S as Lanes<f64, 8>>::load(s, &x), <S as Lanes<f64, 8>>::load(s, &y));
        let w = <S as Lanes<f64, 8>>::load(s, &z);
        let largest = <S as Lanes<f64, 8>>::splat(s, 0.0).max_abs(x).max_abs(y);
        let mut out = vec![x.sum(), largest.max()];
        let mut lanes = [0.0; 8];
        let chosen = x.select_le(y, w, x);
        let (root, thirds) = (largest.sqrt(), s.splat(z[3] - 3.0));
        for v in
            [x.add(y), x.sub(y), x.mul(y), x.div(thirds), x.mul_add(y, w), largest, root, chosen]
        {
            v.store(&mut lanes);
            out.extend(lanes);
        }
        for n in 0..8 {
            <S as Lanes<f64, 8>>::load_partial(s, &z[..n]).store(&mut lanes);
            out.extend(lanes);
            let mut part = [7.0; 8];
            x.store_partial(&mut part[..n]);
            out.extend(part);
        }
        <S as Lanes<f64, 8>>::splat(s, z[3]).store(&mut lanes);
        out.extend(lanes);
        out.into_iter().map(f64::to_bits).collect()
    }
}

/// The same for singles.
struct Singles([f32; 16], [f32; 16], [f32; 16]);

impl Kernel for Singles {
    type Output = Vec<u32>;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Vec<u32> {
        let Self(x, y, z) = self;
        let (x, y) = (<S as Lanes<f32, 16>>::load(s, &x), <S as Lanes<f32, 16>>::load(s, &y));
        let w = <S as Lanes<f32, 16>>::load(s, &z);
        let largest = <S as Lanes<f32, 16>>::splat(s, 0.0).max_abs(x).max_abs(y);
        let mut out = vec![x.sum(), largest.max()];
        let mut lanes = [0.0; 16];
        let chosen = x.select_le(y, w, x);
        let (root, thirds) = (largest.sqrt(), s.splat(z[3] - 3.0));
        for v in
            [x.add(y), x.sub(y), x.mul(y), x.div(thirds), x.mul_add(y, w), largest, root, chosen]
        {
            v.store(&mut lanes);
            out.extend(lanes);
        }
        for n in 0..16 {
            <S as Lanes<f32, 16>>::load_partial(s, &z[..n]).store(&mut lanes);
            out.extend(lanes);
            let mut part = [7.0; 16];
            x.store_partial(&mut part[..n]);
            out.extend(part);
            for first in 0..=16 - n {
                <S as Lanes<f32, 16>>::load_at(s, &z[..n], first).store(&mut lanes);
                out.extend(lanes);
            }
        }
        out.into_iter().map(f32::to_bits).collect()
    }
}

/// The selection by comparison, where one side is a NaN.
struct Selection;

impl Kernel for Selection {
    type Output = [f64; 8];
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> [f64; 8] {
        let x = [0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, -1.0, 5e-324, f64::NAN];
        let limit = [-0.0, 0.0, 0.5, 1.0, f64::INFINITY, f64::NAN, 0.0, f64::NAN];
        let (x, limit) = (<S as Lanes<f64, 8>>::load(s, &x), <S as Lanes<f64, 8>>::load(s, &limit));
        let (yes, no) = (<S as Lanes<f64, 8>>::splat(s, 1.0), <S as Lanes<f64, 8>>::splat(s, 2.0));
        let mut out = [0.0; 8];
        x.select_le(limit, yes, no).store(&mut out);
        out
    }
}

#[test]
fn selection_treats_a_nan_as_larger() {
    assert_eq!(on_every_tier(|| Selection), [1.0, 1.0, 2.0, 2.0, 1.0, 2.0, 2.0, 2.0]);
}

fn on_every_tier<K: Kernel>(kernel: impl Fn() -> K) -> K::Output
where
    K::Output: PartialEq + std::fmt::Debug,
{
    let levels = Level::all();
    let expected = levels[0].run(kernel());
    for &level in &levels[1..] {
        assert_eq!(level.run(kernel()), expected, "{}", level.name());
    }
    expected
}

#[test]
fn operations_return_the_same_bits_on_every_tier() {
    let x = [1.0, -2.5, 1e300, 5e-324, -0.0, 3.7, f64::MAX, 1e-310];
    let y = [-1.0, 1.0 / 3.0, 1e-300, 2.0, 0.0, -1e17, 0.5, -7.0];
    let z = [1e-17, 0.1, -1.0, 5e-324, 0.0, 370e15, 1.0, 2.0];
    let bits = on_every_tier(|| Doubles(x, y, z));
    assert_eq!(bits[1], f64::MAX.to_bits());
    let single = |i: usize| (x[i % 8] as f32, y[i % 8] as f32, (z[i % 8] * 1.5) as f32);
    let pick = |k: usize| {
        std::array::from_fn(|i| [single(i).0, single(i).1, single(i).2][k].clamp(-1e38, 1e38))
    };
    on_every_tier(|| Singles(pick(0), pick(1), pick(2)));
}

/// A square of each kind of lanes, turned.
struct Turned;

impl Kernel for Turned {
    type Output = ([[f32; 16]; 16], [[f64; 8]; 8]);
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Self::Output {
        let (mut singles, mut doubles) = ([[0.0; 16]; 16], [[0.0; 8]; 8]);
        let mut rows = [<S as Lanes<f32, 16>>::splat(s, 0.0); 16];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = s.load(&std::array::from_fn(|j| (100 * i + j) as f32));
        }
        for (row, out) in Vector::transpose(rows).into_iter().zip(&mut singles) {
            row.store(out);
        }
        let mut rows = [<S as Lanes<f64, 8>>::splat(s, 0.0); 8];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = s.load(&std::array::from_fn(|j| (100 * i + j) as f64));
        }
        for (row, out) in Vector::transpose(rows).into_iter().zip(&mut doubles) {
            row.store(out);
        }
        (singles, doubles)
    }
}

#[test]
fn transposing_exchanges_rows_and_lanes() {
    let (singles, doubles) = on_every_tier(|| Turned);
    for (i, row) in singles.iter().enumerate() {
        assert_eq!(*row, std::array::from_fn(|j| (100 * j + i) as f32));
    }
    for (i, row) in doubles.iter().enumerate() {
        assert_eq!(*row, std::array::from_fn(|j| (100 * j + i) as f64));
    }
}

/// Comparisons as bits, and lanes moved by so many places, both for each kind.
struct Moved(usize);

impl Kernel for Moved {
    type Output = ([u32; 2], [f32; 16], [f64; 8]);
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Self::Output {
        let places: [u32; 16] = std::array::from_fn(|l| ((5 * l + self.0) % 16) as u32);
        let x = <S as Lanes<f32, 16>>::load(s, &std::array::from_fn(|l| l as f32));
        let y = <S as Lanes<f64, 8>>::load(s, &std::array::from_fn(|l| l as f64));
        let few: [u32; 8] = std::array::from_fn(|l| places[l] % 8);
        let (x, y) = (x.permute(&places), y.permute(&few));
        let bits = [x.le_bits(<S as Lanes<f32, 16>>::splat(s, 4.0)), y.le_bits(s.splat(4.0))];
        let mut out = (bits, [0.0; 16], [0.0; 8]);
        x.store(&mut out.1);
        y.store(&mut out.2);
        out
    }
}

#[test]
fn lanes_go_where_they_are_told() {
    for first in 0..16 {
        let (bits, singles, doubles) = on_every_tier(|| Moved(first));
        let expected: [usize; 16] = std::array::from_fn(|l| (5 * l + first) % 16);
        assert_eq!(singles, expected.map(|x| x as f32));
        assert_eq!(doubles, std::array::from_fn(|l| (expected[l] % 8) as f64));
        let small = |l: &usize| expected[*l] <= 4;
        assert_eq!(bits[0], (0..16).filter(small).map(|l| 1 << l).sum::<u32>());
        assert_eq!(bits[1].count_ones(), 5, "five of eight are at most four");
    }
}

/// What compares with a NaN, and the larger of two, in no bit.
struct Unordered;

impl Kernel for Unordered {
    type Output = [u32; 2];
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> [u32; 2] {
        let mut x = [f32::NAN; 16];
        (x[3], x[9], x[15]) = (1.0, f32::NEG_INFINITY, 2.0);
        let y = [0.0, f64::NAN, -1.0, 1.0, 2.0, f64::INFINITY, -0.0, f64::NAN];
        let (x, y) = (<S as Lanes<f32, 16>>::load(s, &x), <S as Lanes<f64, 8>>::load(s, &y));
        [x.le_bits(<S as Lanes<f32, 16>>::splat(s, 1.0)), y.le_bits(s.splat(1.0))]
    }
}

#[test]
fn a_nan_is_at_most_nothing() {
    assert_eq!(on_every_tier(|| Unordered), [1 << 3 | 1 << 9, 0b0100_1101]);
}

/// The widening loads, whole and partial.
struct Widening([u16; 8], [f32; 8]);

impl Kernel for Widening {
    type Output = Vec<u64>;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Vec<u64> {
        let Self(halves, singles) = self;
        let mut out = Vec::new();
        let mut lanes = [0.0; 8];
        let f16s: [f16; 8] = std::array::from_fn(|i| f16::from_bits(halves[i]));
        let bf16s: [bf16; 8] = std::array::from_fn(|i| bf16::from_bits(halves[i]));
        for v in [s.widen_f16(&f16s), s.widen_bf16(&bf16s), s.widen_f32(&singles)] {
            v.store(&mut lanes);
            out.extend(lanes);
        }
        for n in 0..8 {
            s.widen_f32_partial(&singles[..n]).store(&mut lanes);
            out.extend(lanes);
        }
        out.into_iter().map(f64::to_bits).collect()
    }
}

#[test]
fn widening_is_exact_for_every_finite_half() {
    let singles = [1.0, -0.0, f32::MAX, 1e-45, -1e-40, f32::MIN_POSITIVE, 0.1, -3.5];
    for first in (0..=u16::MAX).step_by(8) {
        let halves: [u16; 8] = std::array::from_fn(|i| first + i as u16);
        let is_finite = |&h: &u16| f16::from_bits(h).is_finite() && bf16::from_bits(h).is_finite();
        if !halves.iter().all(is_finite) {
            continue;
        }
        let bits = on_every_tier(|| Widening(halves, singles));
        for (i, &h) in halves.iter().enumerate() {
            assert_eq!(bits[i], f16::from_bits(h).to_f64().to_bits());
            assert_eq!(bits[8 + i], bf16::from_bits(h).to_f64().to_bits());
            assert_eq!(bits[16 + i], f64::from(singles[i]).to_bits());
        }
    }
}

/// Sixteen words in single precision, and their lower halves.
struct Words([i32; 16]);

impl Kernel for Words {
    type Output = [[f32; 16]; 2];
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> [[f32; 16]; 2] {
        let mut lanes = [[0.0; 16]; 2];
        s.single_i32(&self.0).store(&mut lanes[0]);
        s.lower_i32(&self.0).store(&mut lanes[1]);
        lanes
    }
}

#[test]
fn words_are_rounded_to_the_nearest_and_their_lower_halves_are_exact() {
    for first in (0..=u16::MAX).step_by(16) {
        let words: [i32; 16] = std::array::from_fn(|i| {
            let lower = u32::from(first) + i as u32;
            (lower.wrapping_mul(40_503) << 16 | lower) as i32
        });
        let [all, lower] = on_every_tier(|| Words(words));
        for (i, word) in words.into_iter().enumerate() {
            // Double precision has every word; the ties of a cast from it go to even.
            assert_eq!(all[i], f64::from(word) as f32);
            assert_eq!(lower[i], f32::from(word as i16) * 65536.0);
        }
    }
}
