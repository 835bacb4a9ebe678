# TrojanCAM on the processor, for people and pipelines that open files of others: it runs without root rights, without network, and
# on a read-only file system. See docs/pipelines.md.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE MANIFEST.in constraints.txt ./
COPY src ./src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim
ARG TORCH=2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY constraints.txt /tmp/
COPY --from=build /wheels /tmp/wheels
RUN pip install --no-cache-dir --index-url "${TORCH_INDEX}" "torch==${TORCH}" \
    && pip install --no-cache-dir --constraint /tmp/constraints.txt "$(ls /tmp/wheels/*.whl)[onnx,keras]" \
    && rm -rf /tmp/wheels /tmp/constraints.txt \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin trojancam
ENV PYTHONDONTWRITEBYTECODE=1 \
    TROJANCAM_CACHE=/tmp/trojancam \
    MPLCONFIGDIR=/tmp/matplotlib \
    KERAS_HOME=/tmp/keras
USER 10001:10001
WORKDIR /work
ENTRYPOINT ["trojancam"]
CMD ["--help"]
