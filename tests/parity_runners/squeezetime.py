"""Cases of the published SqueezeTime code through our modules."""

from torch import Tensor

from parity_runners.case import Case
from tvu.temporal.squeezetime.block import BasicBlock, Bottleneck, ChannelTime
from tvu.temporal.squeezetime.network import SqueezeTimeClassifier, SqueezeTimeConfig, widened

BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"BasicBlock": BasicBlock, "Bottleneck": Bottleneck}


def channel_time(case: Case) -> dict[str, Tensor]:
    config = case.config
    module = ChannelTime(config["width_in"], config["width_out"], config["pos_dim"]).to(case.dtype).eval()
    module.load_state_dict(case.weights)
    x = case.inputs["x"]
    channel_weight = module.param_conv(x)
    weighted = channel_weight * x
    return {
        "channel_weight": channel_weight,
        "temporal_branch": module.temporal_conv(weighted),
        "interaction_branch": module.spatial_conv(x, weighted),
        "y": module(x),
    }


def block(case: Case) -> dict[str, Tensor]:
    config = case.config
    module = BLOCKS[config["block"]](
        config["in_planes"],
        config["planes"],
        halves=config["stride"] != 1,
        projects=config["shortcut_conv"],
        code_side=config["pos_dim"],
    )
    module.to(case.dtype).eval().load_state_dict(case.weights)
    seen: dict[str, Tensor] = {}
    module.conv2.register_forward_hook(
        lambda _, inputs, output: seen.update(ctl_in=inputs[0].clone(), ctl_out=output.clone())
    )
    return {"y": module(case.inputs["x"]), **seen}


def network(case: Case) -> dict[str, Tensor]:
    config = case.config
    shape = SqueezeTimeConfig(
        layers=tuple(config["layers"]),
        is_bottleneck=config["block"] == "Bottleneck",
        widths=widened(config.get("widen_factor", 1.0)),
        num_frames=config["T"],
        strides=tuple(config.get("spatial_stride", (1, 2, 2, 2))),
        code_sides=tuple(config.get("pos_dim", (64, 32, 16, 8))),
        has_max_pool=not config.get("no_max_pool", False),
    )
    model = SqueezeTimeClassifier(shape, config["num_classes"]).to(case.dtype).eval()
    model.load_state_dict(case.weights)
    stages = model.net.stages(case.inputs["video"])
    outputs = {f"stage{number}": feature for number, feature in enumerate(stages, 1)}
    means = {f"{name}_channel_mean": feature.mean((-2, -1)) for name, feature in outputs.items()}
    feature = stages[-1][:, :: config.get("feature_channel_step", 1)]
    return {**outputs, **means, "feature": feature, "logits": model.head(stages[-1])}


RUNNERS = {"squeezetime.ctl": channel_time, "squeezetime.block": block, "squeezetime.network": network}
