# Lamplighter's light base, without torch: it predicts, evaluates, embeds and audits.
#
#   docker build --tag lamplighter .
#   docker run --rm --volume "$PWD:/work" lamplighter predict digits.lamp digits/digit-3.jpg
#
# What it writes belongs to you with --user "$(id -u):$(id -g)". It needs no network to run:
# --network none is welcome.
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml hatch_build.py requirements.lock README.md LICENSE NOTICE ./
COPY src src
COPY labs labs
RUN python -m venv /opt/lamplighter \
 && /opt/lamplighter/bin/pip install --no-cache-dir --constraint requirements.lock . \
 && /opt/lamplighter/bin/python -m compileall -q /opt/lamplighter/lib

FROM python:3.11-slim
COPY --from=build /opt/lamplighter /opt/lamplighter
RUN useradd --create-home --uid 1000 lamplighter \
 && mkdir /work /cache && chown lamplighter /work && chmod 1777 /cache
ENV PATH=/opt/lamplighter/bin:$PATH \
    XDG_CACHE_HOME=/cache \
    PYTHONUNBUFFERED=1
USER lamplighter
WORKDIR /work
ENTRYPOINT ["lamplighter"]
CMD ["--help"]
