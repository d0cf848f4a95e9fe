"""``motiontok serve``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from motiontok.cli.shared_options import default_tokenizer_option, device_option, use_device

__all__ = ["serve"]


@click.command()
@default_tokenizer_option
@click.option(
    "--prior",
    default=None,
    metavar="DIR",
    help='Folder of a prior, "default" or "none"  [default: the shipped one, if it fits]',
)
@click.option("--robot", "robot_name", metavar="NAME", help="Robot that sessions move.")
@click.option(
    "--map",
    "map_path",
    type=click.Path(path_type=Path),
    help="Retarget map (TOML), if --robot is a .urdf file that no shipped map fits.",
)
@click.option("--bind", default="127.0.0.1", show_default=True, help="Interface to listen on.")
@click.option(
    "--port",
    type=click.IntRange(1, 65534),
    default=5557,
    show_default=True,
    help="Port of requests.",
)
@click.option(
    "--states-port",
    type=click.IntRange(1, 65535),
    help="Port of states  [default: the one after --port]",
)
@click.option(
    "--protocol",
    type=click.Choice(["motiontok-1", "sonic-v1"]),
    default="motiontok-1",
    show_default=True,
    help="Format of the published states; GR00T's whole-body controller reads sonic-v1.",
)
@click.option(
    "--joint-order",
    default="isaaclab",
    show_default=True,
    help="Joint order of sonic-v1: isaaclab, mujoco, robot, or a file with one joint name a line.",
)
@device_option
def serve(
    tokenizer: str,
    prior: str | None,
    robot_name: str | None,
    map_path: Path | None,
    bind: str,
    port: int,
    states_port: int | None,
    protocol: str,
    joint_order: str,
    device: str,
) -> None:
    """Serve encoding, decoding, sampling and planning, and play codes at 50 Hz.

    docs/protocol.md describes requests and states. There is no encryption and no password: --bind
    opens the server to everyone who can reach the interface.
    """
    from motiontok.cli.sources import open_robot, open_tokenizer
    from motiontok.errors import InputError, TokenizerError
    from motiontok.prior import TokenPrior
    from motiontok.serve import Server

    # The thread that publishes waits for the interpreter at most so long, seconds.
    sys.setswitchinterval(0.0005)
    where = use_device(device)
    opened = open_tokenizer(tokenizer, device=where)
    loaded = None
    if prior != "none":
        try:
            loaded = TokenPrior.from_pretrained(prior or "default", tokenizer=opened, device=where)
        except TokenizerError as error:
            if prior is not None:
                raise
            click.echo(f"sample and plan are not served: {error}", err=True)
    robot = names = None
    if robot_name is not None:
        robot = open_robot(robot_name, map_path)
    if protocol == "sonic-v1":
        from motiontok.robots.model.joint_orders import joint_order as ordered

        if robot is None:
            raise InputError("--protocol sonic-v1 publishes a robot's joints: give --robot")
        names = ordered(robot, joint_order)
        click.echo(f"joint order {joint_order}: {', '.join(names)}")
    with Server(
        opened,
        prior=loaded,
        robot=robot,
        bind=bind,
        port=port,
        states_port=states_port,
        sonic=names,
    ) as server:
        click.echo(
            f"tokenizer {opened.fingerprint}, requests on tcp://{bind}:{server.port}, states "
            f"({protocol}, 50 Hz) on tcp://{bind}:{server.states_port} (Ctrl-C ends)"
        )
        try:
            server.run()
        except KeyboardInterrupt:
            click.echo("closed")
