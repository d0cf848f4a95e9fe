"""Training methods for discrete autoencoders: one file a method, one small interface."""

from motiontok.config import Config
from motiontok.errors import ConfigError
from motiontok.methods.base import DiscreteAutoencoder, StepResult
from motiontok.methods.daps.daps import Daps
from motiontok.methods.daps.daps_lopq import DapsFromLopq
from motiontok.methods.daps.daps_na import DapsFactorised
from motiontok.methods.daps.daps_pq import DapsFromQuantizer
from motiontok.methods.daps.daps_temporal import DapsTemporal
from motiontok.methods.linear.lopq import Lopq
from motiontok.methods.linear.pca_pq import PcaPq
from motiontok.methods.networks import MotionNetworks, Networks
from motiontok.methods.policy_gradient.ppo import Ppo
from motiontok.methods.policy_gradient.reinforce import Reinforce
from motiontok.methods.quantizers.fsq import Fsq
from motiontok.methods.quantizers.lfq import Lfq
from motiontok.methods.quantizers.lopq_net import LopqNet
from motiontok.methods.quantizers.rvq import Rvq
from motiontok.methods.quantizers.temporal import Temporal
from motiontok.methods.quantizers.vqvae import VqVae
from motiontok.methods.relaxed.grmck import GumbelRao, GumbelRaoFactorised
from motiontok.methods.relaxed.gumbel import Gumbel, GumbelFactorised

__all__ = [
    "METHODS",
    "DiscreteAutoencoder",
    "MotionNetworks",
    "Networks",
    "StepResult",
    "make_method",
]

METHODS: dict[str, type[DiscreteAutoencoder]] = {
    "daps": Daps,
    "daps-na": DapsFactorised,
    "daps-pq": DapsFromQuantizer,
    "daps-lopq": DapsFromLopq,
    "daps-temporal": DapsTemporal,
    "gumbel": Gumbel,
    "gumbel-na": GumbelFactorised,
    "grmck": GumbelRao,
    "grmck-na": GumbelRaoFactorised,
    "reinforce": Reinforce,
    "ppo": Ppo,
    "vqvae": VqVae,
    "fsq": Fsq,
    "rvq": Rvq,
    "lfq": Lfq,
    "lopq": Lopq,
    "lopq-net": LopqNet,
    "pca-pq": PcaPq,
    "temporal": Temporal,
}
"""Every method by name."""


def make_method(config: Config, networks: Networks) -> DiscreteAutoencoder:
    """The autoencoder that ``config.method.name`` names, with fresh weights.

    Args:
        config: sizes and hyper-parameters.
        networks: of the kind of data: :class:`MotionNetworks` for windows of motion.

    Raises:
        ConfigError: there is no such method, or it cannot have these sizes.
        MissingDependencyError: the method needs a package that is not installed.
    """
    try:
        kind = METHODS[config.method.name]
    except KeyError:
        raise ConfigError(
            f"method.name: no method {config.method.name!r}; choose from {', '.join(METHODS)}"
        ) from None
    return kind(config, networks)
