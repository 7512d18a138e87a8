# One file for the three binaries: docker build --build-arg BIN=rollouts -t rollouts:0.1.0 .
# BIN is argo-cd-lite, events or rollouts.
ARG RUST=1.95.0

FROM rust:${RUST}-bookworm AS plan
RUN cargo install --locked --version 0.1.78 cargo-chef
WORKDIR /src
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM rust:${RUST}-bookworm AS build
RUN cargo install --locked --version 0.1.78 cargo-chef
ARG BIN
RUN test -n "${BIN}" || (echo "say which binary: --build-arg BIN=argo-cd-lite|events|rollouts" && exit 1)
WORKDIR /src
# Dependencies alone first: a layer that changes only with Cargo.lock.
COPY --from=plan /src/recipe.json recipe.json
RUN cargo chef cook --profile dist --package "${BIN}" --recipe-path recipe.json
COPY . .
RUN cargo build --profile dist --locked --package "${BIN}" --bin "${BIN}" && cp "target/dist/${BIN}" /operator

# glibc and certificates, no shell. The numeric user is the one that the charts name.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /operator /operator
USER 65532:65532
ENTRYPOINT ["/operator"]
