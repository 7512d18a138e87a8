//! Rows of types that occur in many places, so that a field which does not exist below them is reported.

/// A key of a Secret or ConfigMap, at each of these paths.
macro_rules! selectors {
    ($($path:literal),+ $(,)?) => {
        &[
            $(
                supported($path),
                supported(concat!($path, ".name")),
                supported(concat!($path, ".key")),
                supported(concat!($path, ".optional")),
            )+
        ]
    };
}

/// As `selectors!`, for paths that have a row with a note.
macro_rules! noted_selectors {
    ($($path:literal),+ $(,)?) => {
        &[
            $(
                supported(concat!($path, ".name")),
                supported(concat!($path, ".key")),
                supported(concat!($path, ".optional")),
            )+
        ]
    };
}

/// A back-off, at each of these paths.
macro_rules! backoffs {
    ($($path:literal),+ $(,)?) => {
        &[
            $(
                supported(concat!($path, ".duration")),
                supported(concat!($path, ".factor")),
                supported(concat!($path, ".jitter")),
                supported(concat!($path, ".steps")),
            )+
        ]
    };
}

/// The fields of a list of parameters, at each of these paths.
macro_rules! parameters {
    ($($list:literal),+ $(,)?) => {
        &[
            $(
                supported(concat!($list, ".dest")),
                supported(concat!($list, ".operation")),
                supported(concat!($list, ".src.dependencyName")),
                supported(concat!($list, ".src.contextKey")),
                supported(concat!($list, ".src.contextTemplate")),
                supported(concat!($list, ".src.dataKey")),
                supported(concat!($list, ".src.dataTemplate")),
                supported(concat!($list, ".src.value")),
                supported(concat!($list, ".src.useRawData")),
            )+
        ]
    };
}
