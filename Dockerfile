FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked -p mask-cli

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl ffmpeg && rm -rf /var/lib/apt/lists/*
RUN useradd --system --no-create-home --shell /usr/sbin/nologin mask
COPY --from=build /source/target/release/mask-cli /usr/local/bin/mask-cli
USER mask
EXPOSE 8080
HEALTHCHECK CMD curl -fsS http://127.0.0.1:8080/healthz || exit 1
CMD ["mask-cli", "serve", "--listen", "0.0.0.0:8080"]
