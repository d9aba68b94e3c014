# NOT RUN where this was written: linted by hadolint 2.15 (make containers), and read by
# tests/test_containers.py.
#
# simsearch with its server and its Milvus view. On x86_64 the usual index has torch with CUDA, about 6.5 GB
# in all. Where there is no card, name the index of torch's CPU build (see the selector on pytorch.org), which
# leaves CUDA, half of it, away:
#   docker build -t simsearch --build-arg PIP_OPTIONS="--extra-index-url INDEX" .
# No token belongs into an image: it comes as a secret file, see compose.yaml and docs/scale.md.

FROM python:3.11-slim-bookworm AS build
ARG PIP_OPTIONS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv /opt/simsearch
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY simsearch ./simsearch
# Options are several words, so they are not quoted.
# hadolint ignore=SC2086
RUN /opt/simsearch/bin/pip install $PIP_OPTIONS -c constraints.txt ".[server,milvus]"

FROM python:3.11-slim-bookworm
COPY --from=build /opt/simsearch /opt/simsearch
# The cache holds weights and the graphs that are made of them; it has to be writable, the index need not be.
RUN useradd --system --uid 10001 --user-group --home-dir /nonexistent simsearch \
    && install -d -o simsearch -g simsearch /cache /index
ENV PATH=/opt/simsearch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/cache
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["simsearch"]
CMD ["serve", "-i", "/index", "--host", "0.0.0.0", "--port", "8000", "--token-file", "/run/secrets/simsearch_token"]
