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

/// Where the object of a trigger comes from, beside a resource, text or a ConfigMap.
macro_rules! artifact {
    ($source:literal) => {
        &[
            supported_note(
                concat!($source, ".url.path"),
                "2 MiB at most; link-local addresses are refused",
            ),
            supported_note(
                concat!($source, ".url.verifyCert"),
                "true when absent; upstream verifies nothing then",
            ),
            supported_note(
                concat!($source, ".s3.endpoint"),
                "HOST or HOST:PORT, Amazon when absent; link-local addresses are refused",
            ),
            supported_note(concat!($source, ".s3.region"), "us-east-1 when absent"),
            supported(concat!($source, ".s3.insecure")),
            supported(concat!($source, ".s3.bucket.name")),
            supported_note(concat!($source, ".s3.bucket.key"), "2 MiB at most"),
            supported_note(
                concat!($source, ".s3.accessKey"),
                "required: a Sensor has no pod whose role could be used",
            ),
            supported(concat!($source, ".s3.accessKey.name")),
            supported(concat!($source, ".s3.accessKey.key")),
            supported(concat!($source, ".s3.accessKey.optional")),
            supported(concat!($source, ".s3.secretKey")),
            supported(concat!($source, ".s3.secretKey.name")),
            supported(concat!($source, ".s3.secretKey.key")),
            supported(concat!($source, ".s3.secretKey.optional")),
            supported(concat!($source, ".s3.caCertificate")),
            supported(concat!($source, ".s3.caCertificate.name")),
            supported(concat!($source, ".s3.caCertificate.key")),
            supported(concat!($source, ".s3.caCertificate.optional")),
            reported(
                concat!($source, ".s3.events[]"),
                "of event sources, without effect upstream too",
            ),
            reported(
                concat!($source, ".s3.filter.**"),
                "of event sources, without effect upstream too",
            ),
            reported(
                concat!($source, ".s3.metadata.**"),
                "of event sources, without effect upstream too",
            ),
            supported_note(
                concat!($source, ".git.url"),
                "by https, http or ssh, without a password; link-local addresses are refused",
            ),
            supported_note(
                concat!($source, ".git.filePath"),
                "2 MiB at most; relative and without .., ~ and backslash; no link leads to it; the commit may have 64 MiB compressed and 100,000 objects",
            ),
            supported_note(
                concat!($source, ".git.ref"),
                "comes before tag and branch; the full name of a ref as upstream, or also the id of a commit",
            ),
            supported_note(concat!($source, ".git.tag"), "comes before branch"),
            supported_note(concat!($source, ".git.branch"), "master when absent, as upstream"),
            supported_note(
                concat!($source, ".git.remote.urls[]"),
                "the first is read instead of url, which is not asked",
            ),
            supported_note(
                concat!($source, ".git.remote.name"),
                "any name does: nothing is cloned that could keep it",
            ),
            reported(
                concat!($source, ".git.cloneDirectory"),
                "nothing is cloned: the file is read from the objects of the commit",
            ),
            supported_note(
                concat!($source, ".git.creds.username"),
                "with password, for https and http",
            ),
            supported(concat!($source, ".git.creds.username.name")),
            supported(concat!($source, ".git.creds.username.key")),
            supported(concat!($source, ".git.creds.username.optional")),
            supported(concat!($source, ".git.creds.password")),
            supported(concat!($source, ".git.creds.password.name")),
            supported(concat!($source, ".git.creds.password.key")),
            supported(concat!($source, ".git.creds.password.optional")),
            supported_note(
                concat!($source, ".git.sshKeySecret"),
                "required for ssh: a private key without a passphrase, and behind it lines with the keys of the server",
            ),
            supported(concat!($source, ".git.sshKeySecret.name")),
            supported(concat!($source, ".git.sshKeySecret.key")),
            supported(concat!($source, ".git.sshKeySecret.optional")),
            supported_note(
                concat!($source, ".git.insecureIgnoreHostKey"),
                "for ssh only; without it a server whose key is not in sshKeySecret is refused",
            ),
            reported(
                concat!($source, ".file.**"),
                "refused: a Sensor has no pod whose files could be read; use configmap, url, git or s3",
            ),
        ]
    };
}

/// A container of a bus, at each of these paths.
macro_rules! bus_containers {
    ($($path:literal),+ $(,)?) => {
        &[
            $(
                supported(concat!($path, ".imagePullPolicy")),
                supported(concat!($path, ".resources.**")),
                supported(concat!($path, ".securityContext.**")),
                reported(concat!($path, ".**"), "as upstream, only imagePullPolicy, resources and securityContext have effect"),
            )+
        ]
    };
}
