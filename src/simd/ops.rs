//! How the AVX2 and AVX-512 tiers write down their operations.

/// Defines operations of a tier, one line each.
macro_rules! ops {
    ($(fn $name:ident($self:ident $(, $arg:ident: $ty:ty)*) -> $ret:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name($self $(, $arg: $ty)*) -> $ret {
            // SAFETY: `self` is a token or a vector made by one, and the token's `new` found
            // every feature of the tier; loads and stores go through references to arrays of
            // exactly the lanes they touch.
            unsafe { $body }
        }
    )*};
}
pub(super) use ops;
