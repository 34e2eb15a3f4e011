"""Where `class_words.txt` comes from: `python -P -m tvu.video_llm.training.wordnet CLASSES.json WORDNET_FOLDER`.

CLASSES.json is the list of the 1000 classes beside Lite0's weights, WORDNET_FOLDER holds `data.noun` of WordNet 3.0
(Debian's wordnet-base). A line a class: names without the Latin ones, `|`, and the kinds of thing that it is, nearest
first, less those that nobody says.
"""

import argparse
import json
import re
from importlib import resources
from pathlib import Path

OUT = "class_words.txt"
GLOSSES = "imagenet_glosses.txt"


def _words(text: str) -> frozenset[str]:
    """What semicolons separate."""
    return frozenset(" ".join(text.split()).split("; "))


_LATIN = re.compile(r"[A-Z][a-z]+(?: [a-z]+){1,2}")
_ENGLISH = _words(
    """
    African; Airedale; Alaska; Alaskan; American; Angora; Arctic; Asiatic; Boston; Cape; Doberman; English;
    German; Hungarian; Komodo; Lhasa; Maine; Maltese; Newfoundland; Nile; Northern; Russian; Scottish; Shetland;
    Staffordshire; Sydney; Virginia; Walker
    """
)
_NOBODY_SAYS = _words(
    """
    entity; physical entity; object; whole; artifact; organism; living thing; instrumentality; vertebrate;
    chordate; placental; carnivore; device; covering; conveyance; commodity; consumer goods; invertebrate;
    structure; matter; arthropod; equipment; implement; substance; diapsid; self-propelled vehicle; wheeled
    vehicle; instrument; protective covering; solid; furnishing; craft; natural object; aquatic vertebrate;
    ungulate; reproductive structure; plant organ; plant part; even-toed ungulate; odd-toed ungulate; mechanism;
    durables; nutriment; oscine; passerine; saurian; barrier; restraint; teleost fish; bony fish; establishment;
    obstruction; part; geological formation; colubrid snake; bovid; ruminant; mercantile establishment; place of
    business; headdress; mechanical device; foodstuff; decapod crustacean; malacostracan crustacean;
    abstraction; gallinaceous bird; musteline mammal; piece; housing; stick; support; starches; relation;
    natural elevation; soft-finned fish; spiny-finned fish; elasmobranch; cartilaginous fish; chelonian;
    anapsid; anthropoid ape; cutter; cutting implement; edge tool; source of illumination; white goods; digital
    computer; drug; agent; system; ware; article; course; fluid; phasianid; anseriform bird; metatherian;
    prototherian; coelenterate; leporid; lagomorph; beating-reed instrument; free-reed instrument; double-reed
    instrument; single-reed instrument; top; memorial; plate; causal agent; flavorer; ingredient; drug of abuse;
    seed; cyprinid; container; vessel; game; produce; piece of cloth; cloth covering; equine; point; geographic
    point; location; communication; attribute; shape; round shape; medium; product; creation; work; press; print
    media; associate; peer; participant; contestant; player; attire; workwear; ligament; attachment; connection;
    surface; horizontal surface; area; measure; magnitude relation; structural member; supporting structure;
    framework; strengthener; applicator; adornment; accessory; excavation; natural depression; formation;
    material; tissue; concoction; fare; feed; medicine; institution; penal institution; electronic device;
    electrical device; memory device; transducer; electro-acoustic transducer; reproducer; circle; rotating
    mechanism; duplicator; apparatus; padding; winder; sheath; weight; spermatophyte; angiosperm; vascular
    plant; basidiomycete; pome; globule; sphere; kernel; lesser ape; procyonid; viverrine; proboscidean;
    pachyderm; edentate; ganoid; monotreme; anthozoan; archosaur; ornithischian; ceratopsian; ratite; titmouse;
    acarine; odonate; phasmid; neuropteron; nymphalid; danaid; pierid; plectognath; scorpaenid; scorpaenoid;
    salmonid; elapid; constrictor; ambystomid; iguanid; agamid; heavier-than-air craft; lighter-than-air craft;
    control; facility; brass; opener; reflector; sheet; upright; post; key; rod; pin; runner; rig; drill rig;
    package; display; communication system; telecommunication system; canopy; case; clip; blower; kit; dressing;
    landing; linen; drygoods; chordophone; light; rail; liquid; racer; pointer; boa; staff; bar; tank; board
    """
)
_NO_WORD = re.compile(
    r"iform bird$|opterous|[a-z]id (?:lizard|fish|beetle|snake)$|corn beetle$|mammal$(?<!^mammal)(?<!aquatic mammal)"
)


def synsets(file: Path) -> dict[str, tuple[list[str], list[str], str]]:
    """Of `data.noun`, by offset: words, offsets of what it is a kind of, gloss."""
    found = {}
    for line in file.read_text("latin-1").splitlines():
        if line.startswith(" "):  # the licence
            continue
        fields, gloss = line.split(" | ", 1)
        field = fields.split()
        count = int(field[3], 16)
        words = [word.replace("_", " ") for word in field[4 : 4 + 2 * count : 2]]
        pointers = field[5 + 2 * count :]
        above = [pointers[i + 1] for i in range(0, len(pointers) - 3, 4) if pointers[i] in ("@", "@i")]
        found[field[0]] = words, above, gloss.strip()
    return found


def line_of(
    names: str, gloss: str, nouns: dict[str, tuple[list[str], list[str], str]], by_words: dict[str, list[str]]
) -> str:
    """The line of one class. Raises KeyError if WordNet does not have it."""
    same = by_words[names]
    offset = next((o for o in same if nouns[o][2].startswith(gloss[:15])), same[0])
    kinds: list[str] = []
    level, seen = [offset], {offset}
    while level:
        level = [above for below in level for above in nouns[below][1] if above not in seen]
        seen.update(level)
        kinds += [nouns[o][0][0] for o in level]
    said = [k for k in dict.fromkeys(kinds) if k not in _NOBODY_SAYS and not _NO_WORD.search(k)]
    first, *others = names.split(", ")  # Latin names come last
    spoken = [first, *(n for n in others if not _LATIN.fullmatch(n) or n.split()[0] in _ENGLISH)]
    return f"{'; '.join(spoken)} | {'; '.join(said)}"


def main() -> None:
    """Write the file beside this one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("classes", type=Path)
    parser.add_argument("wordnet", type=Path)
    options = parser.parse_args()
    glosses = resources.files("tvu.video_llm.scout").joinpath(GLOSSES).read_text("utf-8").splitlines()
    nouns = synsets(options.wordnet / "data.noun")
    by_words: dict[str, list[str]] = {}
    for offset, (words, _, _) in nouns.items():
        by_words.setdefault(", ".join(words), []).append(offset)
    classes = json.loads(options.classes.read_text("utf-8"))
    lines = [line_of(names, gloss, nouns, by_words) for names, gloss in zip(classes, glosses, strict=True)]
    Path(__file__).with_name(OUT).write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
