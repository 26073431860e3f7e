"""The names that public checkpoints of autoencoders have."""

import re

# Written out independently of the converter's table: ours to LDM's.
LDM = [
    (r"^base_quant_conv", "base_quant_conv"),
    (r"^detail_encoder", "da.encoder"),
    (r"^decoder", "da.decoder"),
    (r"^detail_down", "da.da_down"),
    (r"^detail_up", "da.da_up"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"down_blocks\.(\d+)\.resnets", r"down.\1.block"),
    (r"down_blocks\.(\d+)\.attentions", r"down.\1.attn"),
    (r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"conv_norm_out", "norm_out"),
    (r"group_norm", "norm"),
    (r"to_out\.0", "proj_out"),
    (r"to_([qkv])\.", r"\1."),
]


def to_ldm(state, levels):
    out = {}
    for name, value in state.items():
        if name in ("detail_mean", "detail_std"):
            continue
        for pattern, replacement in LDM:
            name = re.sub(pattern, replacement, name)
        for ours, theirs in (
            ("resnets", "block"),
            ("attentions", "attn"),
            ("upsamplers.0", "upsample"),
        ):
            name = re.sub(
                rf"up_blocks\.(\d+)\.{re.escape(ours)}",
                lambda m, t=theirs: f"up.{levels - 1 - int(m[1])}.{t}",
                name,
            )
        conv = ".attn" in name and value.ndim == 2
        out[name] = value[:, :, None, None].contiguous() if conv else value.contiguous()
    return out
