"""What a file may claim before it is refused."""

MAX_PIXELS = 8192 * 8192  # of one picture; 8K television is half of that
MAX_CHILD_BYTES = 8 << 30  # address space of one reader process
MAX_BATCH_BYTES = 64 << 20  # of the pixels in one batch
PICTURES_PER_SECOND = 1.0  # of a folder of pictures; a single picture is shown for one second
