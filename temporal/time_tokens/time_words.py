"""The English words by which `read_times` tells a time from another number."""

# between the two ends of a range
TO = {*"-–—‒−~〜→…", "->", "-->", "..", "...", "to", "until", "till", "til", "through", "thru"}
# between the members of a list
AND = {",", ";", "and", "&", "or", "then"}
# may stand anywhere without changing what is said
FILLERS = {"about", "around", "approximately", "approx", "roughly", "at", "the", "is", "are", ":", "=", "up"}
# before a time at which something starts, or ends
STARTS = {"from", "start", "starts", "started", "starting", "begin", "begins", "began", "beginning", "between"}
ENDS = {"until", "till", "to", "end", "ends", "ended", "ending", "stop", "stops", "stopped", "finish", "finishes"}
# before a bare number: it is a time
WHEN = {
    *(STARTS | ENDS - {"to"}),
    *("at", "during", "happen", "happens", "happened", "happening", "occur", "occurs", "occurred", "time", "times"),
    *("timestamp", "timestamps", "timecode", "moment", "moments", "segment", "interval", "span", "t", "answer"),
}
# before a bare number: it counts or names something else
LABELS = {
    *("scene", "scenes", "chapter", "chapters", "step", "steps", "part", "parts", "episode", "season", "page", "pages"),
    *("figure", "fig", "score", "scores", "level", "number", "no", "nr", "version", "room", "route", "line", "lines"),
    *("verse", "grade", "size", "age", "aged", "ages", "year", "years", "option", "question", "item", "items", "act"),
    *("frame", "frames", "player", "players", "won", "lost", "top", "channel", "gate", "lane", "lap", "round", "game"),
    *("set", "volume", "rating", "rated", "saliency", "temperature", "ratio", "shot", "shots"),
    *("minute", "minutes", "min", "hour", "hours"),
}
# after a bare number: leaves it a time, where another word would be a noun that it counts
AFTER_A_TIME = {
    *("and", "or", "when", "where", "while", "as", "in", "on", "of", "the", "a", "an", "is", "was", "with", "during"),
    *("then", "until", "till", "because", "since", "he", "she", "they", "it", "there", "this", "that", "by", "from"),
    *("for", "but", "so", "at", "into", "which", "who", "if", "we", "you", "i", "to", "end", "ends", "ended", "ending"),
    *("start", "starts", "stop", "stops", "finish", "finishes", "his", "her", "their", "someone", "somebody"),
    *(*".,;:!?()]}\"'»”’…", "..", "..."),
}
# beside a quantity: how long, not when; ONE_ for a single one
LENGTH_BEFORE = {
    *("for", "lasts", "lasted", "lasting", "every", "another", "within", "takes", "took", "duration", "length"),
    *("total", "a", "an", "than", "per", "additional", "extra", "some", "over"),
}
LENGTH_AFTER = {"long", "later", "earlier", "apart", "ago", "clip", "clips"}
ONE_LENGTH_BEFORE = LENGTH_BEFORE | {"of", "first", "last", "next", "final", "past", "each", "only"}
ONE_LENGTH_AFTER = LENGTH_AFTER | {"before", "after", "of", "video", "videos", "total", "each"}
# goes with a time when it is cut out of a text
INTRODUCED_BY = {"from", "between", "at", "until", "till", "to"}
