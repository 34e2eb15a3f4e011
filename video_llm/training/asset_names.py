"""What the pictures that `assets` gathers show, in words, by the names of their files.

Only pictures whose words are sure are taken. A caption is a noun phrase with its article: "a cheetah", "some stones".
"""


def _pairs(lines: str) -> dict[str, str]:
    """`name: caption` for each entry of a `;`-separated text; a lone name is its own caption, with an article."""
    out = {}
    for entry in (part.strip() for part in " ".join(lines.split()).split(";")):
        if not entry:
            continue
        name, _, caption = entry.partition(":")
        out[name.strip()] = caption.strip() or with_article(name.strip().replace("_", " "))
    return out


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def with_article(noun: str) -> str:
    """`a dog`, `an owl`."""
    sounds_like_a = ("uni", "ukulele", "eu")
    return f"{'an' if noun[0] in 'aeiou' and not noun.startswith(sounds_like_a) else 'a'} {noun}"


GCOMPRIS_PHOTOS = _pairs("""
alpaca; bee: a bee on a flower; butterfly; calf; camels: some camels; caterpillar; chamaeleon: a chameleon;
cheetah; crab; dolphin; flying_fox: a bat; gibbon; giraffe; goat; gorilla; gosling; heron; horse; kingfisher;
kitten; long_nosed_monkey: a monkey with a long nose; macaque: a monkey; meerkats: some meerkats;
northern_harrier: a hawk; nubian_ibex: an ibex; penguin; pika; red_panda; rhinoceros; spoonbills: two white
birds; squirrel; swans: some swans; toucan; cat; chicken: some chickens; cow; dog; duck; owl; pig; sheep; bison;
chameleon; crocodile; dragon: a big lizard; hedgehog; jaguar; kangaroo; koala; lemur: some lemurs; moose; panda;
polar_bear; scarlet_macaw: a parrot; chichenItza: a pyramid of stone; christTheRedeemer: a statue; colosseum: an
old arena; greatWallofChina: a long wall; machuPicchu: ruins on a mountain; petra: a temple in the rock;
tajMahal: a white palace; cabrillo: a statue; canyondeChelly: a canyon; castillodeSanMarcos: a fortress;
lincolnMemorial: a memorial; mountRushmore: faces in the rock; statueofLiberty: a statue; ajantaCave: a cave;
gatewayofIndia: a gate; goldenTemple: a golden temple; hawaMahal: a palace; mysorePalace: a palace; qutubMinar:
a tower; bentPyramid: a pyramid; meidumPyramid: a pyramid; redPyramid: a pyramid; greatPyramidOfGiza: a pyramid;
arlesAmphitheater: an old arena; chateaudeChambord: a castle; chateaudeChenonceau: a castle over the water;
citedeCarcassonne: a walled town; eiffelTower: an iron tower; montStMichel: an abbey on a hill; pontduGard: an
old bridge; reimsCathedral: a cathedral; berlinCathedral: a cathedral; brandenburgGate: a gate;
neuschwansteinCastle: a castle; schwerinPalace: a palace; wormsCathedral: a cathedral; africa: some drums;
america: a drum set; italy: some singers; japan: some dancers; orchestra: an orchestra; mexico: some musicians;
fish1: a fish; fish10: some fish by a reef; fish11: some fish; fish12: a fish; fish13: a fish; fish14: a fish; fish15: a
fish; fish16: a fish; fish19: a fish; fish2: a fish; fish20: some fish; fish21: a fish; fish22: a fish; fish24:
a fish; fish25: a goldfish; fish28: a fish; fish3: a fish; fish5: a fish; fish8: a fish; fish9: a clownfish;
parthenon: an old temple; operaHouse: an opera house; empireState: a skyscraper; burj: a skyscraper; cathedral;
greatPyramid: a pyramid; greatWall: a long wall; leaningTowerOfPisa: a leaning tower; statueOfLiberty: a statue;
usCapitol: a building with a dome; zimniPalace: a palace; arcDeTriomphe: an arch; baseball; blackslate: a
blackboard; bucket; buffetset: a cup and a saucer; bulb: a light bulb; chair; cup; erasers: an eraser; igloo;
knife: a knife and a fork; pan; pencil; pillow; plate; spoons: some spoons; volleyball; weighingMachine: a
scale; dam1: a dam; dam2: a dam; dam4: a dam; dam5: a dam; geothermal: rising steam; solar2: a solar cooker;
solar4: some solar panels; solar5: some solar panels; solar7: some solar panels; windmill; windmill1: a
windmill; windmill12: a windmill; windmill13: a windmill; windmill2: a windmill; windmill4: a windmill;
windmill6: a wind turbine; windmill9: a windmill; hammer1: a hammer; hammer2: a hammer; hammer4: a hammer;
hammer7: a hammer; measuringTape1: a measuring tape; measuringTape5: a measuring tape; multimeter1: a
multimeter; nailCutter: a nail clipper; plier1: some pliers; plier4: some pliers; scissors1: a pair of scissors;
scissors2: a pair of scissors; scissors3: a pair of scissors; screwDriver: a screwdriver; sickle; spray: a spray
bottle; tweezer: some tweezers; wrench; wrench1: a wrench; alphabets: some toy blocks; sea1: the bottom of the
sea; sea3: the bottom of the sea; sea4: the bottom of the sea; sea5: the bottom of the sea; sea6: the bottom of
the sea; NDP_background: a cathedral; TourEiffel_background: an iron tower; OperaSidney_background: an opera
house; FanoeWindmill_background: a windmill; EgeskovSlotSpejling_background: a castle by a lake;
TajMahal_background: a white palace; Nagoya_background: a castle; Neuschwanstein_background: a castle;
GizahPyramids_background: some pyramids; Chenonceau_background: a castle over the water;
EilanDonanCastle_background: a castle by a lake; TowerBridgeLondon_background: a bridge at night
""")
"""Photographs among the pictures of GCompris."""

GCOMPRIS_SPRITES = _pairs("""
apple; apricot; bear; bee; beetle; bird; bug; bull; butterfly; camel; cat; chicken; coconut; cow; dog; dolphin;
dragon; duck; fish; fox; frog; fruit: a basket of fruit; giraffe; girl; gorilla; hand; hedgehog; hippopotamus;
horse; kangaroo; kiwi; lemon; lizard; melon; mosquito; mouse; orange; owl; panda; peach; pear; pig; plum;
rabbit; raspberry; rhinoceros; shark; sheep; snail; snake; spider; strawberry; turkey; turtle; whale; wolf;
brain; foot; one: the number one; two: the number two; three: the number three; four: the number four; five: the
number five; six: the number six; seven: the number seven; eight: the number eight; nine: the number nine; ten:
the number ten; red: a can of red paint; blue: a can of blue paint; green: a can of green paint; yellow: a can
of yellow paint; black: a can of black paint; main_droite_paume_0: an open hand; main_gauche_dessus_0: an open
hand; poing_droit_dessus_0: a fist; poing_gauche_paume_0: a fist
""")
"""Cut-out pictures among those of GCompris."""

GCOMPRIS_SWIMMERS = _words("""
QueenAngel blueking2 butfish cichlid1 cichlid4 collaris discus2 discus3 f00 f01 f02 f03 f05 f06 f07 f08 f09 f10
f11 f12 newf1 shark1 six_barred
""")
"""Sheets of two pictures of one fish, side by side."""

SCENERY = _pairs("""
templates/cliff.jpg: a cliff; templates/corn_maze.jpg: a corn field; templates/jellyfish.jpg: some jellyfish;
templates/lighthouse.jpg: a lighthouse; templates/mossy_log.jpg: a mossy log; templates/ocean_splash.jpg:
splashing water; templates/ocean_waves.jpg: ocean waves; templates/rocks.jpg: some pebbles;
templates/sun_behind_clouds.jpg: clouds; templates/trees_above.jpg: tall trees; templates/trees_at_dusk.jpg:
trees at dusk; templates/mossy_bark.jpg: bark; templates/wool_mill_machine.jpg: a machine;
templates/mudstone.jpg: stones; templates/burnt_bark.jpg: bark; templates/sun_behind_leaves.jpg: leaves;
templates/redwoods_above.jpg: tall trees; data/aero1.jpg: a town from above; data/aloeL.jpg: a potted plant;
data/apple.jpg: an apple; data/baboon.jpg: a baboon; data/board.jpg: a circuit board; data/building.jpg: a
building; data/butterfly.jpg: a butterfly; data/fruits.jpg: some fruit; data/home.jpg: a church;
data/leuvenA.jpg: a street with old houses; data/messi5.jpg: a football player; data/licenseplate_motion.jpg: a
car; data/orange.jpg: an orange; data/squirrel_cls.jpg: a squirrel; data/starry_night.jpg: a painting;
data/stuff.jpg: a pencil on a table; data/right.jpg: some books; seeding_by_Clements_Engelhardt.jpg: some
dandelions; aitzgorri_by_Aitzol_Berasategi.jpg: mountains; Dragonfly_by_Bolly.jpg: a bush;
sunset_by_Aitzol_Berasategi.jpg: a sunset; Wine_by_Jakkub_Mede.jpg: a table in a room;
picosdeeuropa_by_Aitzol_Berasategi.jpg: mountains with snow; life_by_Aitzol_Berasategi.jpg: a stream in the
woods; Bridge_by_Sander_Klootwijk.jpg: a bridge; Garden.jpg: a red flower; Dune.jpg: a dune with grass;
Aqua.jpg: a drop of water; TwoWings.jpg: a butterfly on a flower; Storm.jpg: dark clouds over the sea;
GreenMeadow.jpg: green grass; RainDrops.jpg: a green leaf; FreshFlower.jpg: an orange flower; LadyBird.jpg:
small flowers; YellowFlower.jpg: a yellow flower; Autumn/contents/images/1280x800.jpg: autumn leaves;
DarkestHour/contents/images/1280x800.jpg: a lake at night; FallenLeaf/contents/images/1280x800.jpg: a tree in
autumn; EveningGlow/contents/images/1280x800.jpg: a calm lake; Path/contents/images/1280x800.jpg: a forest;
ColdRipple/contents/images/1280x800.jpg: a lake; Kite/contents/images/1280x800.jpg: the sky;
ColorfulCups/contents/images/2560x1600.jpg: cups; OneStandsOut/contents/images/1280x800.jpg: leaves;
Grey/contents/images/1280x800.jpg: a jetty in the fog; summer_1am/contents/images/1280x800.jpg: boats at sunset;
Kleiber_by_Lukas_Baubkus.jpg: a tree trunk; skimage/data/astronaut.png: an astronaut; skimage/data/chelsea.png:
a cat; skimage/data/coffee.png: a cup of coffee; skimage/data/rocket.jpg: a rocket;
skimage/data/motorcycle_left.png: a motorcycle; skimage/data/hubble_deep_field.jpg: stars;
skimage/data/grass.png: grass; skimage/data/gravel.png: gravel; skimage/data/brick.png: a brick wall;
skimage/data/coins.png: some coins; skimage/data/moon.png: the moon; skimage/data/camera.png: a man with a
camera; skimage/data/retina.jpg: a retina; sklearn/datasets/images/china.jpg: a temple;
sklearn/datasets/images/flower.jpg: a pink flower
""")
"""Photographs of other sources, by how their paths end."""

EMOJI = _pairs("""
rainbow; volcano; hot dog; taco; burrito; chestnut; evergreen tree: a fir tree; deciduous tree: a tree; palm
tree; cactus; hot pepper; tulip; rose; hibiscus; sunflower; four leaf clover; maple leaf; mushroom; tomato;
aubergine: an eggplant; grapes: some grapes; melon; watermelon: a slice of watermelon; tangerine; lemon; banana;
pineapple; red apple; green apple; pear; peach; cherries: two cherries; strawberry; hamburger; slice of pizza;
french fries: some french fries; sushi; ice cream; doughnut; cookie; chocolate bar; candy; lollipop; honey pot:
a pot of honey; shortcake: a piece of cake; wine glass; beer mug; baby bottle; popcorn: a box of popcorn;
wrapped present: a present; birthday cake; jack-o-lantern; christmas tree; balloon; school satchel: a backpack;
graduation cap; musical keyboard; microphone; movie camera; headphone: some headphones; artist palette: a paint
palette; top hat; circus tent; saxophone; guitar; trumpet; violin; trophy; rugby football; volleyball;
basketball and hoop: a basketball; racing car; racing motorcycle: a motorcycle rider; horse racing: a jockey on
a horse; surfer; golfer; swimmer; runner; snow capped mountain: a mountain; camping: a tent; house building: a
house; office building: an office building; hospital; castle; factory; japanese castle; european castle: a
castle; rat; ox; water buffalo: a buffalo; cow; tiger; leopard; rabbit; cat; dragon; crocodile; whale; snail;
snake; horse; ram; goat; sheep; monkey; rooster; chicken; dog; pig; boar; elephant; octopus; spiral shell: a
shell; bug; ant; honeybee: a bee; lady beetle: a ladybug; fish; tropical fish; blowfish: a pufferfish; turtle;
baby chick: a chick; bird; penguin; koala; poodle; bactrian camel: a camel; dolphin; chipmunk; eye; ear; nose;
mouth; crown; eyeglasses: a pair of glasses; necktie: a tie; t-shirt; jeans: a pair of jeans; dress; kimono;
handbag; mans shoe: a brown shoe; athletic shoe: a sneaker; high-heeled shoe; womans boots: a boot; boy; girl;
man; woman; older man: an old man; older woman: an old woman; baby; police officer; construction worker;
princess; ghost; dancer; skull; lipstick; ring; gem stone: a gem; bomb; electric light bulb: a light bulb; money
bag: a bag of money; credit card; personal computer: a laptop; briefcase; floppy disk; calendar; pushpin; closed
book; green book; blue book; open book; scroll; telephone receiver; newspaper; mobile phone; camera; video
camera; television; radio; battery; electric plug: a plug; key; lock: a padlock; bell; fire; wrench; hammer; nut
and bolt; hocho: a kitchen knife; microscope; telescope; crystal ball; mosque; candle; sunglasses; dark
sunglasses: a pair of sunglasses; spider; joystick; printer; trackball; wastebasket: a waste basket; world map;
moyai: a stone head; grinning face: a smiling face; crying face; angry face; sleeping face; rocket; helicopter;
steam locomotive: a steam train; tram; bus; ambulance; fire engine; police car; taxi; automobile: a red car;
recreational vehicle: a camper van; delivery truck: a truck; tractor; ship; rowboat; speedboat; horizontal
traffic light: a traffic light; door; bicycle; bicyclist: a cyclist; toilet; bathtub; couch and lamp: a couch;
bed; shopping trolley: a shopping cart; shield; oil drum: a barrel; motor boat; airplane; satellite; scooter;
motor scooter; canoe; sled; flying saucer; skateboard; auto rickshaw: a rickshaw; pickup truck; roller skate;
clown face: a clown; robot face: a robot; boxing glove; croissant; avocado; cucumber; bacon: some bacon; potato;
carrot; egg; glass of milk; peanuts: some peanuts; pancakes: some pancakes; coconut; broccoli; pie; pretzel;
sandwich; mango; bagel; crab; scorpion; turkey; eagle; duck; bat; shark; owl; butterfly; deer; gorilla; lizard;
rhinoceros; shrimp; squid; hedgehog; sauropod: a dinosaur; kangaroo; llama; peacock; hippopotamus; parrot;
raccoon; lobster; mosquito; badger; swan; mammoth; dodo; sloth; otter; orangutan; skunk; flamingo; beaver;
bison; seal; bone; tooth; superhero; cheese wedge: a piece of cheese; cupcake; garlic; onion; waffle; butter;
ice cube; mage: a wizard; fairy; vampire; merperson: a mermaid; zombie; scarf; gloves: a pair of gloves; coat;
socks: a pair of socks; billed cap: a cap; compass; abacus; fire extinguisher; toolbox; brick; magnet; luggage:
a suitcase; ball of yarn; teddy bear; broom; basket; bar of soap; sponge; yo-yo; kite; parachute; boomerang;
banjo; accordion; coin; carpentry saw: a saw; screwdriver; ladder; mirror; bucket; toothbrush; headstone; rock;
fly; worm; beetle; cockroach; potted plant; wood: a log; feather; lotus; teapot; jar; chair; axe; razor; needle
""")
"""Pictures of the emoji font, by the names of their characters."""

CLIPART_NOUNS = _words("""
ant apple banana bear bee bird burger butterfly cake carrot cat cow crab crocodile dinosaur dog dolphin donkey
duck elephant fish fox frog giraffe goat horse kangaroo ladybug lion lizard lobster monkey octopus owl panda
parrot peacock penguin pig rabbit rhino rooster shark sheep snail snake spider squirrel swan tiger toad turkey
turtle whale wolf zebra pear peach pineapple strawberry lemon tomato pumpkin onion potato mushroom cheese pizza
burrito doughnut cookie cupcake hamburger hotdog sandwich broccoli teapot mug glass bottle fork spoon knife
plate kettle pan candle lamp lightbulb chair sofa door ladder bucket broom hammer wrench screwdriver drill saw
axe shovel scissors pencil paintbrush book notebook envelope mailbox camera camcorder television radio computer
laptop printer key padlock umbrella hat boot shoe glove sock shirt dress guitar violin piano trumpet drum drums
saxophone flute accordion ball football basketball kite balloon rocket airplane aircraft helicopter car
bus truck taxi ambulance motorcycle bicycle bike train boat sailboat ship tractor van scooter house castle
church lighthouse tent bridge tree flower rose tulip daisy sunflower cactus leaf crown snowman magnifying_glass
cardboard_box watering_can christmas_tree treasure_chest piggy_bank
""")
"""First words of names of files that say what a picture of the clip-art collection shows."""

RENAMED = {
    "lightbulb": "light bulb",
    "palmtree": "palm tree",
    "rhino": "rhinoceros",
    "bike": "bicycle",
    "aircraft": "airplane",
    "hotdog": "hot dog",
}

KINDS: dict[str, frozenset[str]] = {
    kind: frozenset(nouns.split())
    for kind, nouns in {
        "bird": """
            albatross chick chicken dodo duck eagle flamingo gosling goose gull hawk hen heron kingfisher
            macaw mallard owl parrot peacock peahen penguin pigeon robin rooster rosella swan toucan turkey
            woodpecker birds swans chickens blackbird magpie sparrow finch ostrich emu crow vulture pelican
            stork cockatoo
        """,
        "fish": """
            fish clownfish goldfish pufferfish shark lionfish swordfish trout salmon
        """,
        "insect": """
            ant bee beetle bug butterfly caterpillar cockroach dragonfly fly grasshopper ladybug ladybird
            mosquito moth wasp
        """,
        "fruit": """
            apple apples apricot banana cherries cherry coconut grapes grapefruit kiwi kiwifruit lemon lime
            mango melon orange peach pear pineapple plum raspberry strawberry tangerine watermelon
            blackberry blueberry fig papaya pomegranate cherimoya persimmon nectarine loquat guava avocado
        """,
        "vegetable": """
            artichoke broccoli cabbage carrot cauliflower corn cucumber eggplant garlic lettuce mushroom
            onion pepper potato pumpkin radish squash tomato turnip yam zucchini beet celery asparagus leek
        """,
        "vehicle": """
            airplane ambulance bicycle boat bus camper canoe car carriage cart dirigible engine fighter
            helicopter jeep locomotive motorcycle rickshaw rocket rowboat sailboat scooter ship sled
            speedboat submarine tank taxi tractor train tram truck tricycle van wagon motorboat balloonist
            bulldozer excavator dumptruck limousine trolley
        """,
        "tool": """
            axe drill hammer ladder pliers saw screwdriver shovel sickle wrench scissors tape rake
        """,
        "instrument": """
            accordion banjo cello clarinet drum drums flute guitar harp harmonica piano saxophone trombone
            trumpet tuba ukulele violin xylophone keyboard
        """,
        "animal": """
            alpaca anteater antelope armadillo baboon badger bat bear beaver bison blackbuck boar buffalo
            bull bunny calf camel camels cat chameleon cheetah chimpanzee chipmunk cow coyote crab
            crocodile deer dinosaur dog dolphin donkey elephant fox frog gazelle gibbon giraffe gnu goat
            gorilla hamster hedgehog hippopotamus horse ibex jaguar jellyfish kangaroo kitten koala lamb
            lemur lemurs leopard lion lizard llama lobster mammoth meerkat meerkats mole monkey moose mouse
            octopus orangutan otter ox panda pig pika poodle pony porcupine puppy rabbit raccoon ram rat
            rhinoceros scorpion seal sheep shrimp skunk sloth snail snake spider squid squirrel tiger toad
            tortoise turtle walrus wallaby whale wolf worm zebra
        """,
        "person": """
            astronaut baby boy clown cyclist dancer dancers doctor fireman fairy girl golfer jockey king
            man musicians nurse officer player princess queen rider runner singers superhero surfer swimmer
            vampire wizard woman worker santa
        """,
        "building": """
            abbey arena building castle cathedral church cottage factory fortress hospital house houses hut
            igloo lighthouse mosque palace pyramid pyramids skyscraper temple tower windmill barn school
        """,
        "flower": """
            daffodil daisy dandelion dandelions flower flowers hibiscus lily lotus rose sunflower tulip
            orchid petunia carnation poppy pansy
        """,
    }.items()
}
"""Words for what a thing is, and the nouns that they are true of; birds, fish and insects are animals as well."""
