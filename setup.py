"""The native kernels, which are optional: without a compiler or libcrypto's headers they are left out.

Everything else about the package stands in pyproject.toml.
"""

from setuptools import Extension, setup

TLOG, REGISTER, MIRROR_STORE = "src/mintmark/tlog", "src/mintmark/register", "src/mintmark/store/mirror"


def kernel(module: str, *sources: str, headers: tuple[str, ...] = ()) -> Extension:
    """A native kernel, over libcrypto."""
    return Extension(
        module,
        list(sources),
        include_dirs=[TLOG, REGISTER],
        depends=[f"{TLOG}/kernel.h", *headers],
        libraries=["crypto"],
        extra_compile_args=["-O3", "-Wall", "-Wextra"],
        optional=True,
    )


setup(
    ext_modules=[
        kernel("mintmark.tlog._kernel", f"{TLOG}/_kernel.c"),
        kernel(
            "mintmark.register._kernel",
            f"{REGISTER}/_kernel.c",
            f"{REGISTER}/grammar.c",
            headers=(f"{REGISTER}/grammar.h", f"{REGISTER}/row.h"),
        ),
        kernel(
            "mintmark.store.mirror._copy_rows",
            f"{MIRROR_STORE}/_copy_rows.c",
            headers=(f"{REGISTER}/grammar.h", f"{REGISTER}/row.h"),
        ),
    ]
)
