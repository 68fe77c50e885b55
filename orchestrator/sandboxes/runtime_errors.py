"""Failures of runtimes: machines that cannot hold sandboxes, and sandboxes that do not start.

Each says in its detail what happened and what to do. Engine and process errors
are translated into these where they arise; none of them leaves the package.
"""

from __future__ import annotations

from orchestrator.domain.errors import InvalidRequest, Unavailable


class RuntimeUnavailable(Unavailable):
    """No sandbox can be started on this machine as it is."""

    code = "runtime_unavailable"
    title = "Sandbox runtime unavailable"


class OciRuntimeMissing(RuntimeUnavailable):
    """The engine does not have the OCI runtime that the settings ask for."""

    code = "oci_runtime_missing"
    title = "OCI runtime missing"


class ImageMissing(Unavailable):
    """The engine has no image of the configured name."""

    code = "image_missing"
    title = "Sandbox image missing"


class ImageOutdated(Unavailable):
    """The image's tool server speaks another version than this program."""

    code = "image_outdated"
    title = "Sandbox image of another version"


class SandboxStartFailed(Unavailable):
    """The sandbox was refused or ended before its tool server answered."""

    code = "sandbox_start_failed"
    title = "Sandbox did not start"


class SandboxStopFailed(Unavailable):
    """The sandbox could not be ended; it may still run."""

    code = "sandbox_stop_failed"
    title = "Sandbox did not stop"


class NetworkModeUnsupported(InvalidRequest):
    """The runtime cannot give the network that the settings ask for."""

    code = "network_mode_unsupported"
    title = "Network mode not supported"


class InvalidLimits(InvalidRequest):
    """A limit of a sandbox is out of its range."""

    code = "invalid_limits"
    title = "Invalid sandbox limits"


class UnsafeProjectLayout(InvalidRequest):
    """A path that must be protected is something that cannot be, such as a symbolic link."""

    code = "unsafe_project_layout"
    title = "Unsafe project layout"


class ProjectNotPreparable(Unavailable):
    """The places a sandbox needs in its project are missing and cannot be made."""

    code = "project_not_preparable"
    title = "Project cannot be prepared"
