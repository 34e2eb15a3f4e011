"""`tvu frames`: the pictures on the screen at given times, as PNG."""

from pathlib import Path
from typing import Annotated

import typer

from tvu.cli.options import DecoderName, Force, Video, parse_seconds


def frames(
    video: Video,
    at: Annotated[
        list[float],
        typer.Option("--at", parser=parse_seconds, metavar="T", help="When: 83.5 or 1:23.5; may be repeated."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="The folder for the pictures.")],
    max_side: Annotated[
        int | None, typer.Option("--max-side", min=1, metavar="N", help="Longer side in pixels; full size by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    force: Force = False,
    decoder: DecoderName = "pyav",
) -> None:
    """Write the frame that is on the screen at each time as PNG, named by when it appeared."""
    import json

    import numpy as np
    from PIL import Image

    from tvu.cli.exit_codes import UsageError
    from tvu.cli.main import one_line
    from tvu.cli.options import check_outputs, parse_decoder
    from tvu.temporal.timecode import format_timecode
    from tvu.video_llm.decode import clock_of, open_video, read_frames
    from tvu.video_llm.errors import OutputError
    from tvu.video_llm.export import written_beside

    clip = open_video(video, decoder=parse_decoder(decoder))
    if max(at) > clip.duration_seconds:
        raise UsageError(
            f"there is nothing at {format_timecode(max(at), 3)}",
            hint=f"{clip.path.name} ends at {format_timecode(clip.duration_seconds, 3)}",
        )
    shown = clock_of(clip).shown_at(np.array(at))
    files = [out / f"{clip.path.stem}_{seconds:09.3f}.png" for seconds in shown]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made a folder: {error.strerror}", hint="choose another with -o") from error
    check_outputs(files, force)

    times, first = np.unique(shown, return_index=True)  # a frame asked for twice is written once
    pictures = (pixels for batch in read_frames(clip, times, max_side=max_side) for pixels in batch.pixels[0])
    for index, pixels in zip(first, pictures, strict=True):
        with written_beside(files[index]) as beside:
            Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(beside, "PNG")

    if as_json:
        rows = [
            {"asked_seconds": asked, "shown_seconds": round(float(seconds), 6), "file": str(file)}
            for asked, seconds, file in zip(at, shown, files, strict=True)
        ]
        print(json.dumps({"video": str(clip.path), "frames": rows}, ensure_ascii=False))
        return
    for asked, seconds, file in zip(at, shown, files, strict=True):
        print(f"{format_timecode(asked, 3)}  shown since {format_timecode(float(seconds), 3)}  {one_line(str(file))}")
