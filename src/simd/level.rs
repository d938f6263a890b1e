//! Which tier runs: detected once, forced by `RSSPECNORM_LEVEL`, passed by value.

use std::sync::OnceLock;

use super::portable::Portable;
use super::vector::{Kernel, Simd};
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};
use crate::error::Error;

/// The environment variable that forces a tier.
const VARIABLE: &str = "RSSPECNORM_LEVEL";

/// A SIMD tier that this CPU has, with the token that proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// Arrays of lanes, for any CPU.
    Portable(Portable),
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// AVX512F.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Level {
    /// Every tier this CPU has, narrowest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut levels = vec![Self::Portable(Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(Avx2::new().map(Self::Avx2));
            levels.extend(Avx512::new().map(Self::Avx512));
        }
        levels
    }

    /// The tier of this process: the one that `RSSPECNORM_LEVEL` names, else the widest.
    ///
    /// # Errors
    /// [`Error::LevelUnavailable`] when the variable names a tier this CPU lacks.
    pub fn current() -> Result<Self, Error> {
        static CURRENT: OnceLock<Result<Level, Error>> = OnceLock::new();
        CURRENT.get_or_init(Self::detect).clone()
    }

    fn detect() -> Result<Self, Error> {
        let levels = Self::all();
        let forced = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
        let Some(forced) = forced else {
            return Ok(levels[levels.len() - 1]);
        };
        let forced = forced.to_string_lossy().into_owned();
        let found = levels.iter().find(|level| level.name() == forced).copied();
        found.ok_or_else(|| Error::LevelUnavailable {
            level: forced,
            available: available_levels().join(", "),
        })
    }

    /// The tier's name: `"portable"`, `"avx2"` or `"avx512"`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
        }
    }

    /// Runs a kernel on this tier.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Self::Portable(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(s) => s.run(kernel),
        }
    }
}

/// The name of the SIMD tier in use: `"portable"`, `"avx2"` or `"avx512"`.
///
/// # Errors
/// [`Error::LevelUnavailable`] when `RSSPECNORM_LEVEL` names a tier this CPU lacks.
pub fn level_name() -> Result<&'static str, Error> {
    Level::current().map(Level::name)
}

/// The names of the tiers this CPU has, narrowest first.
#[must_use]
pub fn available_levels() -> Vec<&'static str> {
    Level::all().into_iter().map(Level::name).collect()
}
