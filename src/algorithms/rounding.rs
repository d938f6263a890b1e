//! Arithmetic rounded in a known direction, and the constants of rounding error analysis.
//!
//! The nearest double to a result is at most one step away from it, so one step further lies a
//! bound: no rounding mode is switched. `docs/proof.md` states each bound that is built of these.

/// Half the distance from 1 to the next double: the relative error of one rounding.
pub(crate) const UNIT: f64 = f64::EPSILON / 2.0;

/// A bound on `k u / (1 - k u)`: what `k` roundings in a row may do, whatever their order.
pub(crate) fn gamma(k: usize) -> f64 {
    let ku = k as f64 * UNIT;
    div_up(ku, sub_down(1.0, ku))
}

pub(crate) fn add_up(x: f64, y: f64) -> f64 {
    (x + y).next_up()
}

pub(crate) fn sub_up(x: f64, y: f64) -> f64 {
    (x - y).next_up()
}

pub(crate) fn sub_down(x: f64, y: f64) -> f64 {
    (x - y).next_down()
}

pub(crate) fn mul_up(x: f64, y: f64) -> f64 {
    (x * y).next_up()
}

pub(crate) fn mul_down(x: f64, y: f64) -> f64 {
    (x * y).next_down()
}

pub(crate) fn div_up(x: f64, y: f64) -> f64 {
    (x / y).next_up()
}

pub(crate) fn div_down(x: f64, y: f64) -> f64 {
    (x / y).next_down()
}

pub(crate) fn sqrt_up(x: f64) -> f64 {
    x.sqrt().next_up()
}

/// The root of what may have fallen below zero.
pub(crate) fn sqrt_down(x: f64) -> f64 {
    x.max(0.0).sqrt().next_down().max(0.0)
}
