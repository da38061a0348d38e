"""Names of all entries of the authors' checkpoints, so that a missing one can be named.

Written as patterns: `{a,b}` stands for a or b, `{0-3}` for 0, 1, 2 or 3. Names only; shapes are
those of our modules.
"""

import itertools
import re
from collections.abc import Iterator

_WB = "{weight,bias}"
_BN = "{weight,bias,running_mean,running_var,num_batches_tracked}"
_CONV_BN = f"{{0.weight,1.{_BN}}}"

# -- super-resolution ------------------------------------------------------------------------------
_ACT = f"{{layer.{_WB},act.weight}}"
_UP = f"up.{{conv.{_ACT},up_conv{{1-3}}.{{layer,act}}.weight}}"
_DOWN = f"down.{{conv.{_ACT},down_conv{{1-3}}.{{layer,act}}.weight}}"
_UPDATER = "kernel_predictor.{fe_SR.{0-4},fe_kernel.{0-1},fe_cat.{0-2}}.layer.weight"
_KB = f"kb.{{sr_reconst.layer.weight,{_UPDATER},up_conv1.{{layer,act}}.weight}}"
_SFT = f"sft.SFT_{{scale,shift}}_conv{{0,1}}.{_WB}"

_KBPN = (
    f"feat.{{0,2,4,6}}.{_WB}",
    "predictor.feat_ext.{0-2}.{layer,act}.weight",
    f"back_projection_stages.{{{{0-2}}.{{{_UP},{_KB},{_DOWN},{_SFT}}},3.{{{_UP},{_KB}}}}}",
    "output_conv.layer.weight",
)

_DBPN_CONV = f"{{conv.{_WB},act.weight}}"
_DBPN_DECONV = f"{{deconv.{_WB},act.weight}}"
_DBPN = (
    f"feat{{0,1}}.{_DBPN_CONV}",
    f"up{{1-4}}.{{up_conv{{1,3}}.{_DBPN_DECONV},up_conv2.{_DBPN_CONV}}}",
    f"down{{1-3}}.{{down_conv{{1,3}}.{_DBPN_CONV},down_conv2.{_DBPN_DECONV}}}",
    f"{{up{{3,4}},down{{2,3}}}}.conv.{_DBPN_CONV}",
    f"output_conv.conv.{_WB}",
)

_SRCNET_BLOCK = "res_blocks.{0-19}.{fe1.{0,2},attention.{1,3}}"
_SRCNET_SR = (
    f"{{sconv1,upscaling,sconv2}}.{_WB}",
    f"rir.{{res_groups.{{0-9}}.{{{_SRCNET_BLOCK},conv}},conv}}.{_WB}",
)

# -- segmentation ----------------------------------------------------------------------------------
_SEGNET_LAYER = "{En,De}{{1,2}{1,2},{3,4,5}{1-3}}"
_SEGNET = (f"Conv{_SEGNET_LAYER}.{_WB}", f"BN{_SEGNET_LAYER}.{_BN}")

_BASIC = f"{{conv{{1,2}}.weight,bn{{1,2}}.{_BN}}}"
_BOTTLENECK = f"{{conv{{1-3}}.weight,bn{{1-3}}.{_BN}}}"
_DOWNSAMPLE = f"downsample.{_CONV_BN}"

_PSPNET = (
    f"feats.{{conv1.weight,bn1.{_BN},layer1.{{0-2}}.{_BASIC}}}",
    f"feats.layer{{2.{{0-3}},3.{{0-5}},4.{{0-2}}}}.{_BASIC}",
    f"feats.layer{{2-4}}.0.{_DOWNSAMPLE}",
    f"psp.{{stages.{{0-3}}.1.weight,bottleneck.{_WB}}}",
    f"up_{{1-3}}.conv.{{0.{_WB},1.{_BN},2.weight}}",
    f"final.0.{_WB}",
    f"aux.{{0.weight,1.{_BN},4.{_WB}}}",
)

_BLUR_SKIP_BRANCH = f"conv_{{scale,shift}}.{{0.{_ACT},1.layer.{_WB}}}"
_BLUR_SKIP = (
    f"blur_skip.{{0,2}}.{_BLUR_SKIP_BRANCH}",
    f"blur_skip.{{1,3}}.{{layer.weight,norm.{_BN}}}",
)

_UNET = (
    f"encoder.{{0,2,5,7,10,12,14,17,19,21,24,26,28}}.{_WB}",
    f"conv{{{{1,2}}.{{0,2}},{{3,4,5}}.{{0,2,4}}}}.{_WB}",
    f"{{center,dec{{2-4}}}}.block.0.conv.{_WB}",
    f"{{dec1.conv,final}}.{_WB}",
)

_HR_TRANSITION = "{1.{0,1.0},{2.2,3.3}.0}"
_HR_FUSE = (
    "stage2.0.fuse_layers.{0.1,1.0.0}",
    "stage3.{0-3}.fuse_layers.{0.{1,2},1.{0.0,2},2.{0.{0,1},1.0}}",
    "stage4.{0-2}.fuse_layers.{0.{1-3},1.{0.0,2,3},2.{0.{0,1},1.0,3},3.{0.{0-2},1.{0,1},2.0}}",
)
_HR_BRANCHES = "stage{2.0.branches.{0,1},3.{0-3}.branches.{0-2},4.{0-2}.branches.{0-3}}"
_HR_CONV_BN = f"{{0.{_WB},1.0.{_BN}}}"
_OCR_BLOCK = f"{{f_{{pixel,object}}.{{{{0,2}}.{_WB},{{1,3}}.0.{_BN}}},f_{{down,up}}.{_HR_CONV_BN}}}"
_HRNET = (
    f"backbone.{{{_BASIC},layer1.{{0-3}}.{_BOTTLENECK},layer1.0.{_DOWNSAMPLE}}}",
    f"backbone.transition{_HR_TRANSITION}.{_CONV_BN}",
    f"backbone.{_HR_BRANCHES}.{{0-3}}.{_BASIC}",
    *(f"backbone.{fuse}.{_CONV_BN}" for fuse in _HR_FUSE),
    f"conv3x3.{_HR_CONV_BN}",
    f"ocr_distri_head.{{object_context_block.{_OCR_BLOCK},conv_bn_dropout.{_HR_CONV_BN}}}",
    f"cls_head.{_WB}",
    f"aux_head.{{{{0,2}}.{_WB},1.0.{_BN}}}",
)

_CRACK_ATTENTION = f"attn.{{embedding,{{queries,keys,values}}.{{0.weight,1.{_WB}}}}}"
_CRACK_MLP = f"mlp.{{fc1,gn1,gn2,fc2,gn3,dwconv.dwconv}}.{_WB}"
_CRACK_BLOCK = (
    f"conv.{{conv{{1,3}}.weight,bn{{1-3}}.{_WB},conv2.0.{{{_CRACK_ATTENTION},{_CRACK_MLP}}}}}"
)
_CRACKFORMER = (
    f"down2.nn{{1,2}}.{_CRACK_BLOCK}",
    f"down{{3-5}}.nn{{1-3}}.{_CRACK_BLOCK}",
    f"down1.{{nn1.conv.{_WB},nn2.{_CRACK_BLOCK}}}",
    f"up{{1,2}}.nn{{1,2}}.{_CRACK_BLOCK}",
    f"up{{3-5}}.nn{{1-3}}.{_CRACK_BLOCK}",
    f"{{down{{2-4}}.nn1,up2.nn2,up{{3,4}}.nn3}}.conv.shortcut.{{0,1}}.{_WB}",
    f"fuse{{1-5}}.{{nn.conv,conv}}.{_WB}",
    f"LABlock_{{1-5}}.{{W_1,psi}}.{{0,1}}.{_WB}",
    f"final.{_WB}",
)

_ASPP = f"{{aspp{{1-4}}.{{atrous_conv.weight,bn.{_BN}}},global_avg_pool.{{1.weight,2.{_BN}}}}}"
_LAST_CONV = f"last_conv.{{{{0,4}}.weight,{{1,5}}.{_BN},8.{_WB}}}"
_DSRL = (
    f"{{backbone,aspp,decoder,sr_decoder}}.{{conv1.weight,bn1.{_BN}}}",
    f"backbone.layer{{1.{{0-2}},2.{{0-3}},3.{{0-22}},4.{{0-2}}}}.{_BOTTLENECK}",
    f"backbone.layer{{1-4}}.0.{_DOWNSAMPLE}",
    f"aspp.{_ASPP}",
    f"{{decoder,sr_decoder}}.{_LAST_CONV}",
    f"pointwise.{{0.{_WB},1.{_BN}}}",
    f"up_conv_last.{_WB}",
)
_DSRL_UP = f"{{up_sr_#.{_WB},up_edsr_#.{{conv.{{0,2}}.{_WB},residual_upsampler.0.weight}}}}"

_PATTERNS: dict[str, tuple[str, ...]] = {
    "kbpn": _KBPN,
    "kbpn_kernel7": _KBPN,
    "dbpn": _DBPN,
    "srcnet_sr": _SRCNET_SR,
    "srcnet_seg": _SEGNET,
    "pspnet": _PSPNET,
    "pspnet_blurskip": _PSPNET + _BLUR_SKIP,
    "pspnet_blurskip_original_sft": _PSPNET + _BLUR_SKIP,
    "unet16_pixelshuffle": _UNET,
    "unet16_deconv": (*_UNET, f"{{center,dec{{2-4}}}}.block.1.{_WB}"),
    "hrnet_w48_ocr": _HRNET,
    "crackformer": _CRACKFORMER,
    "dsrl": (*_DSRL, _DSRL_UP.replace("#", "{1-3}")),
    "dsrl_x4": (*_DSRL, _DSRL_UP.replace("#", "{0-3}")),
}


def authors_keys(name: str) -> tuple[str, ...]:
    """All keys of the authors' state dict of one network, without prefixes."""
    return tuple(key for pattern in _PATTERNS[name] for key in expand(pattern))


def expand(pattern: str) -> Iterator[str]:
    """Yield every string that a pattern stands for: `x{0-1,a}.{b,c}` -> x0.b, x0.c, x1.b, ..."""
    start = pattern.find("{")
    if start < 0:
        yield pattern
        return
    depth, cuts = 0, [start]
    for i in range(start, len(pattern)):
        depth += {"{": 1, "}": -1}.get(pattern[i], 0)
        if depth == 1 and pattern[i] == ",":
            cuts.append(i)
        if depth == 0:
            break
    cuts.append(i)
    for left, right in itertools.pairwise(cuts):
        for middle in _option(pattern[left + 1 : right]):
            for tail in expand(pattern[i + 1 :]):
                yield pattern[:start] + middle + tail


def _option(text: str) -> Iterator[str]:
    numbers = re.fullmatch(r"(\d+)-(\d+)", text)
    if numbers:
        yield from map(str, range(int(numbers[1]), int(numbers[2]) + 1))
    else:
        yield from expand(text)
