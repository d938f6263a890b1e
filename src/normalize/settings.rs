//! Floor F6: what a call of `normalize` may be told.

/// Which of the two products of a step comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// `u` from `A v`, then `v` from `A' u`, as `torch.nn.utils.parametrizations` does.
    #[default]
    Uv,
    /// `v` from `A' u`, then `u` from `A v`, as the older hook in `torch.nn.utils` does.
    Vu,
}

/// The settings of a call of [`normalize`](super::normalize), the same for every matrix in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// Power steps; zero evaluates sigma at the given vectors.
    pub n_power_iterations: usize,
    /// The smallest norm a vector is divided by.
    pub eps: f64,
    /// Which product of a step comes first.
    pub order: Order,
    /// Whether to divide by `max(1, sigma / coefficient)` in place of `sigma / coefficient`.
    pub soft: bool,
    /// Seed of the start where neither vector has a direction.
    pub seed: u64,
    /// Whether a NaN or an infinity is an error instead of a NaN result.
    pub check_finite: bool,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            n_power_iterations: 1,
            eps: 1e-12,
            order: Order::Uv,
            soft: false,
            seed: 0,
            check_finite: false,
        }
    }
}
