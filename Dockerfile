# One file for the three binaries: docker build --build-arg BIN=rollouts -t rollouts:0.1.0 .
# BIN is argo-cd-lite, events or rollouts.
ARG RUST=1.95.0
ARG GO=1.26
ARG BIN

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

# The programs that argo-cd-lite renders with, in the versions that the tests run.
FROM golang:${GO}-bookworm AS programs
WORKDIR /src
COPY e2e/tools/render ./
ENV CGO_ENABLED=0
RUN go build -trimpath -ldflags "-s -w" -o /programs/ helm.sh/helm/v4/cmd/helm sigs.k8s.io/kustomize/kustomize/v5

# What Git is read with over ssh, what argo-cd-lite checks signatures with, and the libraries that the image below does not
# have.
FROM debian:bookworm-slim AS ssh
RUN apt-get update && apt-get install -y --no-install-recommends gpgv openssh-client \
 && for program in ssh gpgv; do \
      mkdir -p "/$program/usr/bin" && cp "/usr/bin/$program" "/$program/usr/bin/" \
      && for lib in $(ldd "/usr/bin/$program" | awk '$3 ~ /^\// {print $3}' | grep -v '/libc\.so'); do \
        folder="/$program/usr/lib/$(basename "$(dirname "$lib")")" && mkdir -p "$folder" && cp -L "$lib" "$folder/"; \
      done; \
    done

# glibc and certificates, no shell.
FROM gcr.io/distroless/cc-debian12:nonroot AS image-events
COPY --from=ssh /ssh/ /
FROM gcr.io/distroless/cc-debian12:nonroot AS image-rollouts
FROM gcr.io/distroless/cc-debian12:nonroot AS image-argo-cd-lite
COPY --from=programs /programs/ /usr/local/bin/
COPY --from=ssh /ssh/ /
COPY --from=ssh /gpgv/ /

# The numeric user is the one that the charts name.
FROM image-${BIN}
COPY --from=build /operator /operator
USER 65532:65532
ENTRYPOINT ["/operator"]
