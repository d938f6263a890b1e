//! Numbers, matrices and calls that the tests of the public face share.

use ndarray::{Array2, ArrayView2};
use rsspecnorm::{Control, Error, Matrix, Request, Solution, Store, solve};

/// Numbers that are the same in each run (SplitMix64).
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(1))
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Between 0 and 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * 0.5_f64.powi(53)
    }

    /// Mean 0, variance 1, close to normal: a sum of twelve.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// Independent, nearly normal entries.
pub(crate) fn gaussian(nrows: usize, ncols: usize, seed: u64) -> Array2<f64> {
    let mut noise = Noise::new(seed);
    Array2::from_shape_simple_fn((nrows, ncols), || noise.normal())
}

/// A view as the crate takes it.
pub(crate) fn matrix<T: Store>(a: ArrayView2<'_, T>) -> Matrix<'_> {
    Matrix::from_view(a).expect("one of the axes is contiguous")
}

/// One matrix, with the settings of `request`.
pub(crate) fn try_one<T: Store>(
    a: ArrayView2<'_, T>,
    request: &Request<'_>,
) -> Result<Solution, Error> {
    solve(&[matrix(a)], request, Control::default()).map(|mut solutions| solutions.remove(0))
}

/// As [`try_one`], for settings that are valid.
pub(crate) fn one<T: Store>(a: ArrayView2<'_, T>, request: &Request<'_>) -> Solution {
    try_one(a, request).expect("the request is valid")
}

/// The numbers of a solution, bit for bit: all but the counts and the time.
pub(crate) fn bits(solution: &Solution) -> Vec<u64> {
    let numbers = [solution.sigma, solution.second, solution.lower, solution.upper];
    let numbers = numbers.iter().chain([&solution.residual]);
    numbers.chain(&solution.u).chain(&solution.v).map(|x| x.to_bits()).collect()
}
