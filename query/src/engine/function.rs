//! Functions of Weir's own.

pub(crate) mod has_event;
pub(crate) mod has_word;
pub(crate) mod line;

/// Functions of DataFusion that are switched off: one call of them allocates
/// as much as its arguments say, past the memory pool.
pub(crate) const SWITCHED_OFF: [&str; 14] = [
    "repeat",
    "lpad",
    "rpad",
    "array_repeat",
    "list_repeat",
    "array_resize",
    "list_resize",
    "generate_series",
    "range",
    "array_concat",
    "array_cat",
    "list_concat",
    "list_cat",
    "space",
];
