//! Every operation of every tier against the portable one, bit for bit.

use half::{bf16, f16};

use super::{Aligned, Kernel, LANES, Lanes, Level, Load, Real, Simd, Vector};

/// The bits of each operation's lanes, by the operation's name.
type Log = Vec<(String, Vec<u64>)>;

/// The bits of numbers; every NaN counts as the same.
fn bits<A: Real>(lanes: &[A]) -> Vec<u64> {
    let bits = |x: f64| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() };
    lanes.iter().map(|x| bits(x.to_f64())).collect()
}

/// The lanes of a vector.
#[inline(always)]
fn lanes<V: Vector<A, L>, A: Real, const L: usize>(x: V) -> Vec<u64> {
    let mut lanes = [A::ZERO; L];
    x.store(&mut lanes);
    bits(&lanes)
}

/// Runs all operations of one accumulator type on windows of `values`.
#[inline(always)]
fn operations<S, A, const L: usize>(s: S, values: &[A]) -> Log
where
    S: Simd + Lanes<A, L>,
    A: Real,
{
    let mut log = Log::new();
    let window =
        |start: usize| -> [A; L] { std::array::from_fn(|i| values[(start + i) % values.len()]) };
    for start in 0..values.len() {
        for other in [0, 1, 3, start + 5, 2 * start + 7] {
            let (x, y, z) = (s.load(&window(start)), s.load(&window(other)), s.load(&window(2)));
            let mut note = |name: &str, bits| log.push((format!("{name} {start} {other}"), bits));
            note("load and store", lanes(x));
            note("splat", lanes(s.splat(values[start])));
            note("add", lanes(x.add(y)));
            note("mul", lanes(x.mul(y)));
            note("mul_add", lanes(x.mul_add(y, z)));
            note("sum", bits(&[x.add(y).sum()]));
            let magnitudes = s.splat(A::ZERO).max_abs(x).max_abs(y);
            note("max_abs", lanes(magnitudes));
            note("max of magnitudes", bits(&[magnitudes.max()]));
        }
    }
    for len in 0..L {
        let source = window(4);
        let x = s.load_partial(&source[..len]);
        log.push((format!("load_partial {len}"), lanes(x)));
        // One element more on either side, which the store must leave alone.
        let mut room = vec![values[0]; len + 2];
        s.load(&window(5)).store_partial(&mut room[1..=len]);
        log.push((format!("store_partial {len}"), bits(&room)));
        // The largest lane is found wherever it is.
        let mut lone = [A::ZERO; L];
        lone[len] = values[0];
        log.push((format!("max at {len}"), bits(&[s.load(&lone).max()])));
        log.push((format!("sum at {len}"), bits(&[s.load(&lone).sum()])));
    }
    log
}

struct Operations<'a> {
    singles: &'a [f32],
    doubles: &'a [f64],
}

impl Kernel for Operations<'_> {
    type Output = Log;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Log {
        let mut log = operations::<S, f32, 16>(s, self.singles);
        log.extend(operations::<S, f64, 8>(s, self.doubles));
        log
    }
}

/// Widens all elements, eight at a time, then the first few of them in parts.
struct Widen<'a, T>(&'a [T]);

impl<T: Load<f64, 8>> Kernel for Widen<'_, T> {
    type Output = Vec<u64>;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Vec<u64> {
        let (chunks, rest) = self.0.as_chunks::<8>();
        assert!(rest.is_empty(), "elements come in eights");
        let mut all = Vec::new();
        for chunk in chunks {
            s.prefetch(chunk);
            all.extend(lanes(T::load(s, chunk)));
        }
        for len in 0..8 {
            all.extend(lanes(T::load_partial(s, &self.0[..len])));
        }
        all
    }
}

/// Zero, subnormal, extreme and ordinary numbers, the infinity, and their opposites.
fn doubles() -> Vec<f64> {
    let third = 1.0 / 3.0;
    let least = f64::from_bits(1);
    let positive = [1.0, 0.0, least, 3.0 * least, f64::MIN_POSITIVE, f64::MAX, third, 1e-160];
    let more = [1.0 + f64::EPSILON, 1e160, f64::INFINITY, f64::MIN_POSITIVE.next_down(), 0.1];
    positive.into_iter().chain(more).flat_map(|x| [x, -x]).collect()
}

fn singles() -> Vec<f32> {
    let third = 1.0 / 3.0;
    let least = f32::from_bits(1);
    let positive = [1.0, 0.0, least, 3.0 * least, f32::MIN_POSITIVE, f32::MAX, third, 1e-20];
    let more = [1.0 + f32::EPSILON, 1e20, f32::INFINITY, f32::MIN_POSITIVE.next_down(), 0.1];
    positive.into_iter().chain(more).flat_map(|x| [x, -x]).collect()
}

#[test]
fn every_operation_gives_the_portable_bits_on_every_tier() {
    let (singles, doubles) = (singles(), doubles());
    let run = |level: Level| level.run(Operations { singles: &singles, doubles: &doubles });
    let expected = run(Level::all()[0]);
    for level in Level::all() {
        for ((name, got), (_, expected)) in run(level).iter().zip(&expected) {
            assert_eq!(got, expected, "{name} on {}", level.name());
        }
    }
}

#[test]
fn portable_operations_are_those_of_plain_numbers() {
    struct Plain;
    impl Kernel for Plain {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, s: S) {
            let (x, y) = ([1.0, -2.0, 3.5, 0.1, 1e300, -0.0, 7.0, -9.0], [0.3; 8]);
            let (v, w) = (s.load(&x), s.load(&y));
            let naive = |f: &dyn Fn(f64, f64) -> f64| bits(&x.map(|x| f(x, 0.3)));
            assert_eq!(lanes(v.add(w)), naive(&|x, y| x + y));
            assert_eq!(lanes(v.mul(w)), naive(&|x, y| x * y));
            assert_eq!(lanes(v.mul_add(w, w)), naive(&|x, y| x.mul_add(y, y)));
            assert_eq!(lanes(w.max_abs(v)), naive(&|x, y| x.abs().max(y)));
            assert_eq!(v.max(), 1e300);
            let tree = ((1.0 + 1e300) + (3.5 + 7.0)) + ((-2.0 - 0.0) + (0.1 - 9.0));
            assert_eq!(v.sum(), tree);
        }
    }
    Level::all().into_iter().for_each(|level| level.run(Plain));
}

#[test]
fn every_float16_and_bfloat16_widens_exactly() {
    fn check<T: Load<f64, 8>>(elements: &[T]) {
        let mut expected = bits(&elements.iter().map(|x| x.to_f64()).collect::<Vec<_>>());
        for len in 0..8 {
            let part = elements[..len].iter().map(|x| x.to_f64());
            expected.extend(bits(&part.chain(std::iter::repeat(0.0)).take(8).collect::<Vec<_>>()));
        }
        for level in Level::all() {
            assert!(level.run(Widen(elements)) == expected, "{} on {}", T::NAME, level.name());
        }
    }
    check(&(0..=u16::MAX).map(f16::from_bits).collect::<Vec<_>>());
    check(&(0..=u16::MAX).map(bf16::from_bits).collect::<Vec<_>>());
    // Every exponent of a float32, with several fractions.
    let floats = (0..=u16::MAX).map(|high| u32::from(high) << 16 | u32::from(high) & 0x8001);
    check(&floats.map(f32::from_bits).collect::<Vec<_>>());
    check(&doubles()[..24]);
}

#[test]
fn work_vectors_start_on_a_cache_line() {
    for len in (0..=3 * LANES).chain([1000, 4097]) {
        let mut x = Aligned::zeros(len);
        assert_eq!(x.as_ptr().addr() % 64, 0, "{len}");
        assert_eq!(*x, *vec![0.0; len]);
        x.fill(2.0);
        assert_eq!(*x, *vec![2.0; len]);
    }
}

#[test]
fn tiers_come_narrowest_first() {
    let names: Vec<_> = Level::all().into_iter().map(Level::name).collect();
    assert_eq!(names[0], "portable");
    assert_eq!(names, super::available_levels());
    assert!(names.len() <= 3 && names == ["portable", "avx2", "avx512"][..names.len()]);
}

/// The features between quotes after each `start`, up to `end`.
fn quoted(text: &str, start: &str, end: &str) -> Vec<String> {
    let pieces = text.split(start).skip(1);
    let features = pieces.flat_map(|piece| piece.split(end).next().unwrap().split(','));
    let mut features: Vec<_> = features.map(|x| x.trim().to_owned()).collect();
    features.sort();
    features
}

#[test]
fn a_token_tests_the_features_that_its_tier_enables() {
    let sources =
        [include_str!("../../../src/simd/avx2.rs"), include_str!("../../../src/simd/avx512.rs")];
    for source in sources {
        let tested = quoted(source, "is_x86_feature_detected!(\"", "\")");
        let (before, _) = source.split_once("fn enter").unwrap();
        let last = before.rfind("enable = \"").unwrap();
        assert_eq!(tested, quoted(&before[last..], "enable = \"", "\""));
        assert!(tested.len() >= 3, "{tested:?}");
        // Helpers may enable less, never more.
        let all = quoted(source, "enable = \"", "\"");
        assert!(all.iter().all(|feature| tested.contains(feature)), "{all:?}");
    }
}
