# syntax=docker/dockerfile:1
# Two stages: the first checks every hash and installs, the second holds nothing but Python and the result.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements.lock ./
# Everything that may be installed, each file checked against the lock.
RUN pip download --quiet --require-hashes --requirement requirements.lock --dest /wheels
COPY pyproject.toml README.md ./
COPY src ./src
COPY migrations ./migrations
# Only what the service needs of it; the tools for development stay behind.
RUN python -m venv /opt/pricewatch \
 && /opt/pricewatch/bin/pip install --quiet --no-index --find-links /wheels . \
 && /opt/pricewatch/bin/python -m compileall -q -j 0 /opt/pricewatch/lib \
 && /opt/pricewatch/bin/pip uninstall --quiet --yes pip

FROM python:${PYTHON}-slim
RUN groupadd --system --gid 10001 pricewatch \
 && useradd --system --uid 10001 --gid pricewatch --home-dir /var/lib/pricewatch --create-home pricewatch
COPY --from=build /opt/pricewatch /opt/pricewatch
ENV PATH=/opt/pricewatch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PRICEWATCH_APP__DATA=/var/lib/pricewatch/data \
    PRICEWATCH_GATEWAY__HOST=0.0.0.0
WORKDIR /var/lib/pricewatch
VOLUME /var/lib/pricewatch
EXPOSE 8080
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["pricewatch"]
CMD ["run"]
