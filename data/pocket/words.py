"""The words of the pocket world and what it is made of (data only; data/world.py does the telling).

Word lists are separated by blanks, and "_" stands for a blank inside an entry. In tables an entry
  is a
line, its columns are separated by ";", and an indented line continues the one above.
"""


def rows(text):
    return text.replace("\n  ", " ").strip().splitlines()


# -------------------------------------------------------------------------------------------- words

NOUNS = {
    "tool": """hammer saw chisel file rasp mallet awl needle sickle scythe rake hoe spade shovel
  pitchfork trowel axe hatchet wedge crowbar pulley winch ladle sieve funnel whetstone anvil clamp
  drill ruler compass spindle bobbin thimble paintbrush broom mop ladder wheelbarrow lantern crank
  lever gauge telescope pencil hook rope chain key lock hinge bolt nail screw spring cog wheel
  candle whisk rolling_pin fishing_rod pestle trestle tripod grindstone plumb_line spirit_level
  paint_roller wire_brush garden_hose watering_can clothes_peg darning_needle fish_hook mousetrap
  hourglass sundial thermometer magnifying_glass tape_measure oar rudder anchor ploughshare
  screwdriver pincer soldering_iron spokeshave gimlet bradawl scalpel metronome abacus theodolite
  barometer periscope weathervane butter_churn nutcracker corkscrew can_opener colander""",
    "container": """basket barrel crate jar jug sack trunk chest tin bottle bucket bowl cup mug
  kettle teapot saucepan pitcher vase box pouch purse satchel knapsack suitcase hamper tub basin
  trough urn flask casket pail bag wallet thermos dish tray canister cask bin jewel_box letterbox
  toolbox bread_bin birdcage rucksack cardboard_box cigar_box inkwell lunchbox money_box
  coal_scuttle thimble_box amphora decanter tureen ramekin hatbox matchbox biscuit_tin snuffbox
  tea_caddy wicker_basket pannier haversack reliquary aquarium terrarium pigeonhole""",
    "furniture": """table chair bed cupboard bench stove shelf desk armchair dresser wardrobe
  clock bookcase sofa cradle sideboard workbench cabinet""",
    "nest": """cushion chair rug windowsill bed blanket pillow bench sofa armchair doormat quilt
  mattress stove""",
    "cup": """cup glass mug jug bowl pot bottle teapot flask pitcher tin_cup""",
    "animal": """dog cat goat hen horse goose donkey rabbit pony raven owl pig duck kitten fox
  hedgehog squirrel puppy lamb parrot mouse jackdaw ferret otter magpie hare calf rooster""",
    "herd": "sheep goat cow horse pony donkey",
    "nut": "walnut hazelnut almond chestnut acorn",
    "elder": "grandmother mother father grandfather aunt uncle",
    "high": "hill mountain moor ridge heath slope pass cliff",
    "garment": """coat cloak scarf hat cap bonnet shawl apron jacket waistcoat shirt blouse skirt
  dress glove mitten boot shoe slipper sock stocking belt ribbon raincoat cape sweater vest
  nightgown sandal kerchief tunic poncho overcoat dressing_gown bow_tie headscarf petticoat corset
  bodice uniform doublet clog moccasin galosh gaiter turban veil pinafore cardigan pullover jerkin
  kimono sarong parka anorak nightcap earmuff sunhat beret trilby bowler_hat cravat cummerbund
  sash shirtfront smock""",
    "fruit": """apple pear plum cherry peach apricot fig quince grape melon lemon orange
  raspberry blackberry strawberry gooseberry currant pomegranate mulberry elderberry cranberry
  blueberry medlar damson nectarine mandarin greengage loganberry bilberry mango papaya pineapple
  banana lime cloudberry mirabelle crab_apple sloe""",
    "vegetable": """carrot turnip parsnip leek onion potato cabbage bean pea lentil beetroot
  radish cucumber marrow pumpkin tomato pepper artichoke mushroom shallot cauliflower sprout
  lettuce chickpea broad_bean runner_bean swede kohlrabi courgette gherkin aubergine endive yam""",
    "bird": """sparrow robin wren finch thrush blackbird crow rook raven jackdaw magpie owl hawk
  falcon kestrel heron stork crane swan goose duck gull tern puffin pigeon dove cuckoo swallow
  swift lark nightingale woodpecker kingfisher hen rooster pheasant partridge starling blackcap
  bullfinch bunting buzzard coot cormorant corncrake curlew dipper egret eider fieldfare
  flycatcher godwit goldfinch grebe greenfinch harrier hoopoe ibis kite lapwing linnet moorhen
  nuthatch oriole osprey ostrich parrot peacock pelican penguin petrel pipit plover quail
  sandpiper shrike siskin skylark snipe stonechat turkey wagtail warbler waxwing vulture albatross
  avocet bittern capercaillie cassowary chaffinch cockatoo fulmar gannet goshawk guillemot
  hornbill jay kittiwake merlin mynah pintail ptarmigan razorbill redstart sparrowhawk teal
  whimbrel wryneck yellowhammer""",
    "beast": """fox badger hare rabbit otter stoat weasel hedgehog squirrel goat donkey mule pony
  horse cow ox pig dog cat kitten puppy lamb calf foal mouse mole bat ram ferret beaver polecat
  vole shrew dormouse marten lynx wolf bear boar elk reindeer seal marmot bison gazelle camel
  jackal mongoose porcupine hamster""",
    "bug": """bee wasp beetle moth butterfly ant cricket grasshopper dragonfly spider snail
  firefly ladybird caterpillar mosquito earwig woodlouse centipede millipede hornet bumblebee
  wood_ant mayfly midge gnat aphid weevil cockchafer stag_beetle water_strider lacewing leech slug
  glow-worm locust stick_insect cicada katydid damselfly sawfly tarantula scorpion silverfish""",
    "tree": """oak ash elm birch beech willow poplar maple lime alder hazel pine fir spruce larch
  yew cedar hawthorn rowan holly walnut_tree apple_tree pear_tree fig_tree chestnut aspen sycamore
  hornbeam juniper magnolia cypress acacia olive_tree plum_tree cherry_tree mulberry_tree laurel
  elder blackthorn plane_tree mountain_ash tamarisk eucalyptus ginkgo hemlock catalpa baobab
  mangrove sequoia""",
    "flower": """rose lily tulip daisy violet poppy iris primrose buttercup bluebell foxglove
  marigold daffodil snowdrop crocus sunflower cornflower peony lupin thistle dandelion orchid
  anemone aster begonia camellia carnation chrysanthemum clematis columbine cowslip cyclamen
  dahlia edelweiss forget-me-not fuchsia gentian geranium gladiolus harebell honeysuckle hyacinth
  hydrangea larkspur mallow narcissus nasturtium oxeye pansy petunia snapdragon speedwell
  wallflower waterlily yarrow""",
    "building": """mill barn bakery chapel school library town_hall inn tavern forge stable
  warehouse lighthouse workshop cottage farmhouse market_hall bathhouse boathouse granary brewery
  dairy pottery tannery customs_house theatre museum hospital post_office railway_station
  courthouse observatory bell_tower shed greenhouse windmill watermill sawmill foundry laundry
  smithy malt_house ropewalk ice_house guesthouse bank pharmacy pump_house monastery almshouse
  assembly_hall printing_house toll_house schoolhouse kiln cinema bookshop fish_market cathedral
  abbey priory pavilion rotunda orangery dovecote hatchery cannery glasshouse planetarium aquarium
  menagerie conservatoire gasworks lido bandstand aqueduct""",
    "room": """kitchen attic cellar pantry parlour bedroom hall study nursery laundry porch
  courtyard classroom loft corridor hallway office storeroom scullery vestibule conservatory
  drawing_room dining_room landing lobby workroom washhouse gallery music_room""",
    "vessel": """boat barge ferry raft canoe sloop schooner tug punt cutter dinghy steamer
  trawler rowing_boat sailing_boat lifeboat brig ketch lugger coracle catamaran houseboat
  paddle_steamer galley""",
    "vehicle": """cart wagon sledge carriage bicycle coach lorry tram bus tractor sleigh handcart
  van train motorcycle pushcart hay_cart mail_coach stagecoach taxi caravan milk_float""",
    "instrument": """fiddle flute drum harp lute trumpet horn whistle pipe accordion guitar cello
  bell tambourine mandolin clarinet piano oboe bassoon bugle trombone tuba violin viola lyre
  zither banjo harmonica recorder triangle gong xylophone hurdy-gurdy bagpipe""",
    "toy": """doll kite spinning_top marble hoop puppet ball rattle swing paper_boat
  rocking_horse jigsaw drum tin_soldier skipping_rope yo-yo toy_train whistle wooden_horse
  hobby_horse dice_cup domino toy_boat rag_doll seesaw jack-in-the-box building_block""",
    "trinket": """ring locket watch whistle key coin bracelet necklace comb spoon bell medal
  thimble button snuffbox brooch pin figurine buckle compass seal mirror pendant bangle amulet
  cufflink hairpin ornament keepsake miniature pocket_watch signet token tiara pebble glass_eye
  music_box cameo rosary paperweight penknife magnifier corkscrew sealing_ring hatpin tiepin
  doubloon""",
    "land": """hill valley meadow marsh moor cliff gorge ridge slope forest wood heath lake pond
  spring cave waterfall island dune bay beach headland orchard vineyard pasture wheat_field stream
  thicket clearing glade quarry plain mountain hollow fen bog estuary lagoon reef peninsula
  plateau ravine gully foothill copse grove hedgerow common floodplain waterhole gravel_pit
  sandbank ford delta glen spinney vale""",
    "way": """road lane path track street alley bridge canal footpath staircase towpath avenue
  boulevard causeway promenade cart_track bridleway passage""",
    "paper": """letter map notebook diary ledger postcard parcel newspaper recipe poem receipt
  contract list drawing photograph sketch certificate ticket calendar almanac dictionary
  manuscript envelope pamphlet leaflet brochure timetable petition passport licence invoice
  telegram memoir essay prayer_book sermon score blueprint chart""",
    "coin": "penny crown florin ducat",
    "kin": """mother father sister brother aunt uncle grandmother grandfather cousin niece nephew
  daughter son neighbour stepmother stepfather twin_brother twin_sister godmother godfather
  brother-in-law sister-in-law grandson granddaughter great-aunt""",
    "folk": """farmer sailor teacher doctor merchant traveller fisherman shepherd child widow
  soldier student clerk poet painter stranger visitor pedlar judge mayor nurse messenger
  apprentice innkeeper butcher grocer barber cobbler carpenter mason porter postman fireman
  policeman conductor engineer surgeon dentist chemist professor journalist lawyer notary
  auctioneer banker actor actress dancer conjurer juggler acrobat pilgrim monk hermit hunter
  trapper woodcutter charcoal_burner ploughman milkmaid goatherd gamekeeper ferryman sexton
  watchman locksmith tinker gravedigger swimmer cyclist climber sculptor organist violinist
  beekeeper basket_maker falconer glazier thatcher chimney_sweep lamplighter bellringer town_crier
  bargee stoker miner quarryman wheelwright cooper tanner fuller milliner seamstress embroiderer
  confectioner vintner apothecary midwife almoner curate verger deacon prefect magistrate bailiff
  constable quartermaster bosun cabin_boy stowaway cartographer geometer lexicographer philologist
  archivist""",
    "limb": """hand arm shoulder knee elbow ankle finger thumb wrist foot toe""",
    "bake": """loaf bun cake tart pie biscuit pancake dumpling roll pastry scone waffle muffin
  pudding crumpet cream_puff strudel turnover flan cheesecake doughnut macaroon meringue pretzel
  bagel fritter""",
}

VERBS = {
    "move": """walk run hurry wander climb march stride limp stroll creep dash trudge ride race
  tiptoe rush amble plod scramble shuffle trot drift saunter hobble scurry gallop crawl skip jog
  hike lurch stagger waddle prowl roam tramp glide dart hasten loiter stumble""",
    "look": """look stare gaze peer glance blink squint glare gape scowl goggle""",
    "gesture": """nod smile frown shrug laugh sigh grin yawn cough blush wink hesitate pause
  shiver chuckle sniff gulp groan hum shudder chortle""",
    "speak": """say whisper answer reply murmur mutter add call explain announce insist admit
  remark declare agree promise suggest grumble mumble stammer whimper gasp sigh reason boast joke
  confess claim protest object concede observe comment recall interrupt warn urge repeat conclude
  snap growl exclaim""",
    "ask": """ask wonder demand inquire""",
    "mend": """mend repair clean polish paint sharpen oil dust scrub patch replace sew glue weigh
  measure wrap carry fetch count sort borrow sell buy examine inspect label hide move lift rinse
  iron darn hem varnish grease tighten loosen straighten empty fill stack weave knit unpack
  catalogue plaster whitewash sand scrape trim carve sketch admire rescue""",
    "call": """sing call chatter croak whistle screech hoot twitter cry chirp coo scold warble
  caw cackle cluck squawk trill cheep honk shriek""",
    "grow": """grow bloom flower nod sway tremble glow shine spread""",
    "cook": """boil bake roast fry simmer stew steam grill braise poach toast pickle smoke blanch
  baste sear""",
    "weather_do": """rattle shake bend soak sweep batter rustle stir""",
    "love": """like love enjoy prefer praise miss admire remember""",
}

WORDS = {   # no plural: masses, adjectives, adverbs, phrases
    "colour": """red blue green yellow white black brown grey purple orange pink golden silver
  scarlet crimson violet turquoise ivory amber russet copper cream pale_blue dark_green
  rose-coloured olive chestnut straw-coloured slate-grey snow-white jet-black""",
    "cond": """old new worn battered polished rusty dusty cracked dented broken mended painted
  carved plain heavy sturdy delicate crooked tarnished chipped faded handsome simple curious
  strange ancient borrowed forgotten favourite cheap expensive splendid shabby solid fragile
  useful useless elegant clumsy spare precious ordinary homemade second-hand weathered ornate
  sticky antique bent blunt bulky charming creaky dingy durable dull embroidered enamelled
  engraved fancy flimsy frayed gilded gleaming glossy graceful grimy hollow leaky lopsided mouldy
  neat patched peculiar portable quaint ragged ridiculous rickety rough scratched secret shiny
  slippery smudged smooth soggy spotless spotted stained striped sooty stylish tattered torn ugly
  unfinished unusual valuable wobbly wrinkled burnished corroded dilapidated immaculate intricate
  lacquered mismatched pristine serviceable threadbare varnished veneered""",
    "size": """big small tiny huge large little enormous tall short wide narrow long thick thin
  deep slender broad great miniature""",
    "mood": """happy sad tired hungry proud angry afraid nervous lonely cheerful grateful jealous
  curious calm ashamed hopeful puzzled bored excited surprised worried glad miserable content
  confused restless eager uneasy relieved thirsty sleepy homesick determined disappointed
  impatient delighted gloomy anxious amused""",
    "nature": """kind patient stubborn honest shy bold clever careful lazy generous greedy brave
  gentle stern thoughtful quiet talkative forgetful cautious modest humble reliable quarrelsome
  absent-minded polite hard-working curious practical fearless witty serious merry grumpy sensible
  good-natured adventurous affectionate ambitious bashful boastful bookish brisk charming chatty
  considerate courteous cunning daring dreamy energetic fussy gruff hasty hospitable idle
  imaginative impatient industrious jolly lively loyal mischievous moody nimble nosy obstinate
  orderly outspoken peaceful plucky punctual reckless reserved restless sceptical sensitive
  sincere sleepy sly soft-hearted solitary spirited studious superstitious talented thrifty tidy
  timid trusting unlucky vain warm-hearted weary wise gregarious taciturn phlegmatic impulsive
  meticulous scrupulous inquisitive irritable jovial laconic magnanimous melancholy musical
  obliging pensive resolute sarcastic sentimental shrewd sprightly stoical sullen tactful
  tenacious unassuming whimsical zealous""",
    "praise": """famous celebrated well-known respected gifted skilful beloved admired popular
  noted distinguished self-taught tireless inventive travelling outstanding acclaimed accomplished
  brilliant daring eminent esteemed expert forgotten honoured humble influential learned legendary
  original prolific renowned unconventional versatile""",
    "manner": """slowly quietly quickly carefully gently softly bravely calmly proudly eagerly
  firmly gladly sadly politely patiently nervously cheerfully silently suddenly anxiously boldly
  wearily sternly warmly thoughtfully awkwardly briskly stubbornly gratefully solemnly hastily
  warily steadily gingerly swiftly breathlessly blindly hesitantly lazily nimbly reluctantly
  sleepily stealthily tirelessly""",
    "tone": """quietly softly calmly proudly eagerly firmly gladly sadly politely patiently
  nervously cheerfully sternly warmly thoughtfully gruffly kindly slyly crossly simply shyly drily
  hoarsely hopefully bitterly briskly faintly frankly fondly grimly hastily meekly mildly
  mournfully playfully reluctantly tenderly timidly triumphantly vaguely wisely""",
    "well": """carefully patiently quietly tirelessly slowly skilfully proudly cheerfully
  faithfully neatly diligently precisely expertly elegantly thoroughly lovingly methodically
  modestly""",
    "low": """sad afraid nervous lonely tired angry worried ashamed puzzled gloomy miserable
  uneasy homesick confused anxious disappointed impatient restless jealous hungry downcast
  dejected desperate discouraged embarrassed exhausted foolish forlorn frightened guilty
  heartbroken helpless hurt irritated lost sorry troubled unhappy upset weary wretched""",
    "glad": """happy proud content relieved cheerful grateful delighted calm surprised hopeful
  excited merry amused beaming blissful comforted elated joyful light-hearted overjoyed peaceful
  radiant satisfied thankful triumphant""",
    "hunter": "fox wolf marten stoat badger weasel lynx wildcat",
    "raptor": "hawk owl falcon buzzard kestrel crow eagle raven",
    "rarely": """often sometimes rarely usually always seldom occasionally frequently""",
    "metal": """iron copper silver brass tin bronze gold pewter steel lead""",
    "wood": """oak pine ash walnut cherry maple beech cedar birch elm willow""",
    "stone": """granite marble slate limestone sandstone flint chalk basalt amber jade quartz""",
    "cloth": """wool linen silk cotton velvet leather felt canvas lace tweed flannel fur satin""",
    "goods": """wool linen salt honey timber leather copper tin glass paper candles soap rope
  pottery silk tea spices wax barley butter cheese cider ink charcoal lace clay_pipes dried_fish
  smoked_eels onions grain knives clocks carpets baskets umbrellas pearls olive_oil wine amber
  feathers saddles bells hats turpentine tar turf bricks tiles slates buckwheat rye oats vinegar
  almonds figs raisins saffron indigo ivory porcelain parchment linseed hemp flax cork coral
  copperware spectacles dolls whistles marbles violins cheeses truffles mustard tobacco_pipes
  cutlery beeswax quills parasols thermometers accordions lanterns rugs tapestries mirrors
  marzipan liquorice chicory hops malt molasses sardines anchovies capers hazelnuts goatskins
  sheepskins felt_slippers rocking_chairs fishing_nets compasses""",
    "food": """bread cheese soup stew porridge ham bacon smoked_fish honey butter jam eggs
  sausages rice noodles gingerbread cold_chicken pickles nuts mutton barley_broth pancakes
  cornbread oatcakes roast_goose pea_soup dumplings apple_tart custard mackerel crab hazelnut_cake
  potato_salad lentils beetroot_soup fried_eggs toast ratatouille omelettes rissoles kedgeree
  trifle blancmange marzipan shortbread flapjacks haggis sauerkraut gnocchi couscous paella
  goulash""",
    "drink": """tea coffee milk cider water lemonade apple_juice buttermilk cocoa ginger_beer
  elderflower_cordial mint_tea broth blackcurrant_juice pear_cider dandelion_coffee barley_water
  nettle_tea malted_milk rosehip_tea hot_chocolate""",
    "herb": """parsley thyme sage mint dill basil rosemary fennel chives marjoram bay_leaf
  tarragon coriander""",
    "spice": """pepper ginger cinnamon nutmeg saffron mustard_seed paprika caraway cumin aniseed""",
    "smell": """smoke bread tar salt hay varnish wet_wool pine_resin soap leather old_books
  candle_wax coffee roses mud cinnamon apples sawdust rain horses fish lavender beeswax ink onions
  peat vinegar cloves turpentine wild_garlic thyme moss seaweed chalk damp_stone fresh_paint
  chestnuts honey resin straw wool gunpowder cheese elderflowers melted_snow hot_iron tobacco
  peppermint nutmeg almonds mothballs petrol lilac jasmine bergamot camphor sulphur""",
    "taste": """sweet sour salty bitter rich spicy smoky nutty sharp creamy fresh tangy earthy
  buttery""",
    "virtue": """patience courage honesty kindness skill luck hope friendship wisdom generosity
  humour curiosity humility loyalty perseverance forgiveness gratitude determination modesty
  caution tolerance cheerfulness common_sense reliability imagination tact diligence self-control
  mercy fairness enthusiasm endurance steadfastness frankness thrift resilience sincerity serenity
  prudence cordiality""",
    "subject": """stars tides bees weather maps bridges medicine music grammar law trade farming
  birds mosses ships clocks dreams gardens cooking memory justice geometry folk_songs glaciers
  fossils volcanoes beetles chemistry optics anatomy navigation ballads architecture astronomy
  botany printing proverbs knots calendars earthquakes mushrooms migration rainbows electricity
  magnetism arithmetic etiquette rhetoric pottery heraldry puppetry hydraulics metallurgy
  palaeontology ornithology entomology meteorology mineralogy genealogy numismatics cryptography
  semaphore calligraphy typography bookkeeping acoustics magnets eclipses meteorites caves tunnels
  dialects riddles masks mazes irrigation windmills pendulums hibernation""",
    "landish": """steep green misty rocky quiet windy lonely wooded gentle muddy stony grassy
  frozen sunny shady bare flat wild fertile swampy sandy barren bleak chalky desolate drowsy dusty
  exposed forested heather-covered hilly icy overgrown parched peaceful rugged sheltered slippery
  snowy treeless winding undulating craggy marshy briny loamy gorse-covered moonlit waterlogged
  wind-swept terraced""",
    "month": """January February March April May June July August September October November
  December""",
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "season": "spring summer autumn winter",
    "hour": """dawn noon dusk midnight sunrise sunset breakfast_time teatime nightfall daybreak""",
    "sky": """rainy windy foggy frosty sunny stormy cloudy snowy mild hot cold damp bright grey
  clear dull sultry chilly blustery breezy drizzly overcast thundery humid hazy sleety showery
  scorching""",
    "time": """that_morning the_next_day before_long after_supper that_evening towards_evening
  a_week_later at_last soon_afterwards at_first_light one_afternoon later_that_day
  the_following_week an_hour_later the_same_night on_the_third_day meanwhile in_the_end""",
    "noise": """creaking knocking humming rustling scratching whispering rattling tapping ringing
  splashing thumping hissing clicking grinding squeaking clattering buzzing murmuring crackling
  jingling gurgling dripping rumbling snoring thudding whirring clanking sobbing tinkling chiming
  rasping wheezing booming pattering swishing fluttering sizzling twanging""",
    "hobby": """collecting_old_maps playing_chess growing_roses keeping_bees painting_landscapes
  carving_spoons flying_kites writing_poems watching_birds mending_clocks singing_in_the_choir
  fishing_from_the_bridge gathering_mushrooms dancing swimming_in_cold_water telling_stories
  knitting baking_bread skating collecting_shells learning_languages playing_the_fiddle
  walking_in_the_hills solving_riddles pressing_flowers building_model_boats cooking_for_friends
  reading_travel_books looking_at_the_stars drawing_insects training_dogs collecting_stamps
  making_jam rowing arranging_stones playing_dominoes juggling cycling embroidering birdwatching
  sketching_ruins growing_pumpkins wrestling weaving_baskets composing_waltzes translating_poems
  building_birdhouses restoring_old_furniture playing_cards sledging archery sailing whistling
  photographing_clouds collecting_buttons reciting_ballads breeding_canaries cooking_soup
  climbing_trees studying_proverbs calligraphy archaeology ballroom_dancing bell-ringing
  woodcarving beachcombing kayaking mountaineering origami pottery puppetry stargazing topiary
  yodelling ventriloquism bookbinding""",
    "trouble": """flood fire drought storm landslide famine plague frost siege epidemic
  earthquake gale""",
    "disaster": """flood fire storm landslide earthquake gale blizzard whirlwind""",
    "near": """near beside behind next_to in_front_of close_to opposite""",
    "ordinal": """first second third fourth fifth sixth seventh eighth ninth tenth eleventh
  twelfth""",
    "shape": """round square oval triangular star-shaped cone-shaped egg-shaped barrel-shaped""",
}

IRREGULAR_PAST = dict(pair.split(":") for pair in """run:ran creep:crept ride:rode say:said
  sing:sang grow:grew
shine:shone bend:bent sweep:swept sell:sold buy:bought sew:sewed hide:hid make:made build:built
  write:wrote
teach:taught catch:caught weave:wove grind:ground draw:drew keep:kept tell:told lead:led
  shake:shook drive:drove
cut:cut blow:blew bind:bound dig:dug spin:spun set:set fly:flew breed:bred kneel:knelt spread:spread
stride:strode weave:wove knit:knitted hum:hummed""".split())

DOUBLING = {"admit", "prefer", "label"}      # admitted, although it has two syllables

IRREGULAR_PLURAL = dict(pair.split(":") for pair in """sheep:sheep midwife:midwives mouse:mice
  goose:geese calf:calves ox:oxen loaf:loaves
shelf:shelves foot:feet child:children fisherman:fishermen potato:potatoes tomato:tomatoes
  leaf:leaves
wolf:wolves knife:knives postman:postmen fireman:firemen policeman:policemen ferryman:ferrymen
  watchman:watchmen ploughman:ploughmen yo-yo:yo-yos brother-in-law:brothers-in-law
  sister-in-law:sisters-in-law cuff:cuffs bison:bison reindeer:reindeer elk:elk dormouse:dormice
  woodlouse:woodlice gladiolus:gladioli kohlrabi:kohlrabis crossroads:crossroads actress:actresses
  scarf:scarves radish:radishes""".split())

# --------------------------------------------------------------- what the world is made of (facts)

# Six cultures: onsets; vowels; codas; endings of women's, men's, family, town names, of adjectives.
CULTURES = rows("""
b br d f g h j k l m n r s sk st sv t tr v; a e i o u; l n r d rn ld nd k; a e unn ild is; ar en
  ulf or ik; sund mark vang gard lund; vik holm fjall nes stad; ish
b c d f l m n p r s t v; a e i o; l n r s; ella ina ora etta ia; o ino ero ando io; etti ari asco
  oni elli; enza ona ara ello ia; ese
br d dr k kr l m p r st v z; a e i o u; v n sk l r m; ka ena isha ana ila; imir an ek osh slav;
  enko ovic inski ovar ak; grad ovo itsa dol ava; ian
br c ca gl f gw l m mor r t tr; a e i o; n r th ll rn; wen eth een inna is; an och wyn or ac; ley
  don arth ick more; combe dun garth wick mere; ic
b d j k l m n nd s t w z; a e i o u; ; a eni isha ala uma; o u eke aro imo; anda embe ungu ola azi;
  ani undu wezi ora ungo; an
b d f j k m n r s sh t y z; a e i u; r n m l sh; ira een aya esh ane; ur an im esh ad; avar endi
  azad imli uni; abad kent ir istan ush; i
""")

# One line a region's nature: the kind of country; what one sees there; how its weather is.
LANDS = rows("""
a rocky coast; cliffs, coves and fishing harbours; windy and wet
a wide plain; wheat fields, windmills and long straight roads; hot in summer and bitter in winter
a land of lakes; reed beds, islands and birch woods; cold and clear
a range of hills; sheep pastures, stone walls and narrow valleys; misty for half the year
a delta; canals, rice fields and flocks of wading birds; warm and damp
a dry upland; olive groves, red cliffs and deep wells; dry and sunny
""")

# trade; place of work; verb; what is done; tool
TRADES = rows("""
baker; bakehouse; bake; bread and rolls; oven
blacksmith; forge; make; ploughs and horseshoes; anvil
carpenter; workshop; build; doors and tables; plane
weaver; weaving shed; weave; blankets and cloth; loom
potter; pottery; make; bowls and jugs; wheel
miller; mill; grind; wheat and barley; millstone
clockmaker; workshop; repair; clocks and watches; magnifying glass
glassblower; glassworks; blow; bottles and lamps; blowpipe
shipwright; boatyard; build; boats and barges; adze
fisher; net loft; catch; eels and trout; net
gardener; potting shed; grow; roses and pears; pruning knife
beekeeper; honey house; keep; bees in straw hives; smoker
teacher; schoolhouse; teach; children to read and count; blackboard
doctor; surgery; treat; coughs and broken bones; stethoscope
dentist; surgery; pull; bad teeth; pair of pliers
printer; printing house; print; books and posters; press
bookbinder; bindery; bind; books in leather; needle
painter; studio; paint; portraits and landscapes; easel
sculptor; studio; carve; statues in stone; chisel
fiddler; dance hall; play; at weddings and fairs; fiddle
singer; theatre; sing; old ballads; songbook
poet; library; write; verses about the sea; pen
astronomer; observatory; study; comets and planets; telescope
mapmaker; map room; draw; maps of the coast; compass
geologist; museum; collect; rocks and fossils; hammer
botanist; greenhouse; describe; mosses and wild flowers; notebook
engineer; drawing office; design; bridges and pumps; slide rule
mason; stone yard; cut; stone for walls and arches; mallet
roper; rope walk; twist; rope for ships; crank
tailor; shop; sew; coats and waistcoats; needle
shoemaker; shop; make; boots and shoes; last
dyer; dye house; dye; wool in bright colours; vat
cheesemaker; dairy; make; cheese and butter; copper vat
brewer; brewery; brew; beer and cider; barrel
cook; inn; cook; soups and pies for travellers; ladle
ferryman; ferry house; row; people across the river; pair of oars
shepherd; hut; watch; sheep on the high pastures; crook
judge; courthouse; settle; quarrels about land; ledger
merchant; warehouse; trade; in salt and cloth; pair of scales
librarian; reading room; lend; books to everyone; catalogue
lighthouse keeper; lighthouse; tend; the lamp on the headland; logbook
surveyor; town hall; measure; roads and fields; measuring chain
puppeteer; puppet theatre; carve; puppets for children; knife
historian; archive; collect; letters and chronicles; pen
saddler; saddlery; stitch; saddles and bridles; awl
candlemaker; chandlery; make; candles and soap; mould
nurse; hospital; care; for the sick; lamp
explorer; cabin; chart; unknown rivers; sextant
""")

# class; sizes in cm; habitats; diets; coverings; habits; young
CREATURES = rows("""
songbird; 9 24; hedges/orchards/reed beds/birch woods; seeds/caterpillars/berries/small flies;
  feathers; repeats the calls of other birds/hides seeds under bark/builds a hanging nest of
  moss/sings only before rain/decorates its nest with shells; eggs
wading bird; 40 120; river banks/salt marshes/shallow lakes; frogs/small fish/water snails/shrimps;
  feathers; sleeps on one leg/dances in pairs every spring/follows the plough in flocks/stirs the
  mud with one foot/returns to the same nest each year; eggs
owl; 20 65; old barns/pine forests/church towers; mice/moths/voles/beetles; feathers; hunts without
  a sound/turns its head to listen/stores food in hollow trees/claps its wings in alarm; eggs
fish; 12 150; cold streams/deep lakes/river mouths/the open sea; water weeds/worms/smaller
  fish/insects that fall on the water; scales; buries itself in sand/leaps out of the water at
  dusk/swims against the current to breed/changes colour when it is afraid/guards its eggs in a
  pit; eggs
rodent; 8 45; dry grassland/wheat fields/river banks/stony hillsides; grain/roots/nuts/fallen
  fruit; fur; digs tunnels with several doors/carries food in its cheeks/sleeps through the
  winter/warns its family with a whistle/washes its food; pups
dwarf deer; 50 110; oak woods/mountain meadows/reed beds; grass/bark/young leaves/fallen fruit;
  fur; moves only in the half-light/sheds its antlers in winter/stamps to warn the herd/swims well;
  fawns
wild goat; 60 120; bare cliffs/high pastures/dry gorges; thorn bushes/moss/tough grass; wool;
  climbs almost straight up/sleeps on narrow ledges/licks salt from the rocks/follows the same
  paths all its life; kids
hunting animal; 35 130; pine forests/rocky hills/marshes; hares/birds/mice/fish; fur; hunts alone
  at night/shares food with its young for two years/marks its paths with scratches/waits for hours
  without moving; cubs
beetle; 1 6; rotten logs/gravel banks/meadows/old walls; sap/dung/aphids/pollen; armour; glows
  faintly in the dark/rolls its food into balls/plays dead when touched/drums on dry leaves; larvae
butterfly; 3 14; flower meadows/wet heaths/garden walls; nectar/the juice of plums/tree sap; wings;
  flies only in sunshine/travels in great swarms/rests with its wings closed/tastes with its feet;
  caterpillars
lizard; 10 70; stone walls/dry gorges/sand dunes/warm rocks; flies/spiders/ants/eggs; scales; drops
  its tail when caught/basks on warm stones at noon/changes colour with the light/runs across
  water; eggs
frog; 3 14; ponds/rice fields/damp cellars/mossy springs; flies/worms/slugs/mosquitoes; skin; sings
  in chorus after rain/sticks to glass and leaves/carries its young on its back/sleeps under the
  mud in dry months; tadpoles
snail; 1 9; damp walls/cabbage gardens/forest floors; leaves/mushrooms/dead wood; shell; seals its
  shell in dry weather/leaves a shining track at night/climbs trees before a storm; eggs
""")

FESTIVALS = rows("""
Lantern; people carry paper lanterns down to the water
Bread; every street bakes a loaf as long as a door
Kite; children fly kites from the walls
Boat; painted boats race to the old bridge and back
Masks; everybody wears the mask of an animal
Snow; the baker judges figures made of snow
Apple; the first apples are rolled down the hill
Song; choirs sing from the windows
Bell; all the bells ring for an hour
Wool; shepherds shear sheep in the square
Candle; a candle is lit for every child born that year
Flower; the bridge is covered with petals
Story; old people tell stories until midnight
Stone; the strongest masons lift stones in the market
Fish; soup is cooked in a pot as wide as a cart
Drum; drummers walk around the walls three times
Honey; beekeepers give honey cakes to strangers
River; garlands are thrown into the water
Moon; nobody lights a lamp and everyone looks up
Harvest; the last sheaf is carried through the streets
Hat; prizes are given for the tallest hat
Silence; nobody speaks until the sun goes down
""")

LANDMARKS = rows("""
a {size} {stone} bridge with {3-12} arches
a {colour} bell tower that leans to one side
a library with more than {3-19} thousand books
a windmill without sails
a market hall roofed with {metal}
a lighthouse with {colour*2} stripes
a {stone} fountain in the shape of a {beast}
a statue of a {bird} made of {metal}
a garden where {flower.s} bloom in every season
an old {building} with a {wood} door
a clock that runs backwards
a staircase of {100-400} steps
a {tree} said to be {400-900} years old
a wall of {colour} tiles
a museum of {tool.s}
a harbour with a {size} {stone} quay
a ruined castle full of {bird.s}
a covered street of shops that sell {goods}
a well that never dries up
a theatre built of {wood} without a single nail
""")

# device; what it is for; how it works
DEVICES = rows("""
pump; lifting water from deep wells; a chain of small buckets turns over a wheel
lamp; giving steady light in the wind; a second glass keeps the flame still
loom; weaving two patterns at once; a card with holes chooses the threads
plough; turning heavy clay; a curved blade lifts the soil and lets it fall
clock; telling the time on ships; a spring does the work of the pendulum
stove; baking with half the wood; the smoke passes under the oven twice
lock; closing a door without a key; four rings with letters must be turned
bridge; crossing a river in flood; the middle part floats and rises with the water
press; printing both sides of a page; two plates close like a book
kite; measuring the wind; a scale on the string shows the pull
boat; sailing in shallow water; the keel can be lifted like a knife
scale; weighing letters; a small weight slides along an arm
mill; grinding grain without wind; a wheel is turned by the tide
bell; warning sailors in fog; the waves themselves swing the hammer
spectacles; seeing near and far; each glass has two halves
telescope; watching the moon; a curved mirror gathers the light
seed drill; sowing in straight rows; a small wheel drops one seed at a time
kettle; boiling water quickly; the flame goes through a tube in the middle
crane; loading heavy stone; a man walks inside a large wheel
thermometer; measuring heat; coloured spirit climbs a thin glass tube
""")

TITLES = rows("""
The {size} {animal}
The {colour} {trinket}
The {p.trade}'s {kin}
A Short History of {subject}
Letters from {t}
On the Nature of {subject}
The {building} by the {land}
{2-9} {tree.s} and a {tool}
The {nature} {folk}
A {season} in {t}
Songs of {t.region}
The {folk} and the {animal}
Notes on {subject*2}
The Last {vessel} to {t}
What the {animal} Knew
The {material} {container}
Conversations with a {folk}
The Book of {virtue}
The House of {2-12} {furniture.s}
In Praise of {virtue*2}
A Child's Guide to {subject}
A {season} under the {tree.s}
""")

GENRES = rows("""
novel; follows a {nature} {folk} who [inherits|loses|buys|guards] a {cond} {building}
novel; tells how two {kin.s} [quarrel|search|travel|wait] for {2-20} years because of a {cond}
  {trinket}
novel; is set in a {room} during a {sky} {season} and has only {2-6} characters
children's book; tells of a {nature} {animal} that wants to [swim|read|sing|see the sea|become a
  {folk}]
children's book; shows how a lost {toy} finds its way home through the {land.s}
collection of poems; speaks of {smell}, {hour} and {virtue}
collection of poems; describes one {season} in {20-90} short verses
study; explains {subject} to readers who have never been to school
study; compares {subject} with {subject} and argues that both need {virtue}
history; describes the great {trouble} and the years after it
travel book; describes a journey by {vehicle} from the {land.s} of the north to the sea
play; shows a {folk}, a {folk} and a {folk} locked in a {building} for one night
cookery book; gives {60-300} recipes with {fruit.s}, {vegetable.s} and {herb}
""")

# method; extra ingredients with amounts for four; steps
METHODS = {
    "soup": ("1 litre of water/2 spoons of butter/1 teaspoon of salt", rows("""
[Peel|Wash|Clean] the {m} and cut [them|everything] into [small|thumb-sized|even] pieces.
Melt the butter in a [large|heavy|deep] pot and cook the {m} over a [low|gentle] heat until soft.
Pour in the water, add the salt and [bring it|let it come] to the boil.
Simmer for {minutes} minutes, and [stir now and then|skim off the foam|keep the lid half open].
[Press the soup through a sieve|Mash some of the pieces|Leave the pieces whole] and add {s}.""")),
    "stew": ("500 grams of {meat}/2 onions/half a litre of broth", rows("""
Cut the {meat} into cubes and [dust|sprinkle] them with flour.
Brown the cubes in hot fat [on all sides|in two batches|until a dark crust forms].
Add the onions and the {m}, and stir [for a few minutes|until they smell sweet].
Pour in the broth, cover the pot and cook gently for {minutes} minutes.
Season with {s} [just before serving|and a little salt|and taste it twice].""")),
    "pie": ("300 grams of flour/150 grams of butter/1 egg", rows("""
Rub the butter into the flour, add [a little|three spoons of] cold water and make a [smooth|firm]
  dough.
Let the dough rest in a cool place for [half an hour|twenty minutes|as long as you can wait].
Roll out two thirds of it and line a [buttered|round|deep] dish.
Fill the dish with the {m} and sprinkle with {s}.
Cover with the rest of the dough, brush with beaten egg and [cut a small hole|prick with a fork].
Bake for {minutes} minutes until [golden|brown|the kitchen smells wonderful].""")),
    "cake": ("250 grams of flour/150 grams of sugar/3 eggs/125 grams of butter", rows("""
Beat the butter and the sugar until [pale|light and creamy].
Add the eggs one [at a time|by one], then fold in the flour with {s}.
Stir the {m} into the batter [gently|with a wooden spoon|last of all].
Pour into a [greased|buttered] tin and [smooth|level] the top.
Bake for {minutes} minutes; it is done when a [straw|needle|thin stick] comes out clean.
Let it cool in the tin before [turning it out|cutting it].""")),
    "bread": ("500 grams of flour/10 grams of salt/20 grams of yeast/300 grams of water", rows("""
[Stir|Dissolve] the yeast in lukewarm water and wait [ten minutes|until it foams].
Mix with the flour and the salt, and knead [for ten minutes|until the dough is smooth and springy].
[Work|Knead|Fold] in the {m} and {s}.
Cover the bowl with a cloth and let the dough rise until [it has doubled|it is twice as big].
Shape [a round loaf|two long loaves|a plait] and let it rise again.
Bake in a hot oven for {minutes} minutes, until the bottom sounds hollow when [tapped|you knock on
  it].""")),
    "dumpling": ("300 grams of flour/2 eggs/a pinch of salt", rows("""
Make a [soft|firm|smooth] dough of the flour, the eggs, the salt and a little water.
[Chop|Mash|Grate] the {m} finely and mix with {s}.
Roll the dough thin and cut out circles with a [cup|glass].
Put a spoonful of filling on each circle, fold it and [pinch the edge|press the edge with a fork].
Cook in boiling water for {minutes} minutes; they float when they are [done|ready].""")),
    "jam": ("500 grams of sugar/the juice of 1 lemon", rows("""
[Wash|Sort|Rinse] the {m} and throw away stones and stalks.
Cook with the lemon juice [until soft|until the skins burst].
Add the sugar and {s}, and stir until [it has dissolved|no grain is left].
Boil hard for {minutes} minutes, and skim off the foam.
[Drip|Drop] a little on a cold plate: if it wrinkles, the jam is [ready|set].
Fill into clean hot jars and close them [at once|tightly].""")),
    "salad": ("3 spoons of oil/1 spoon of vinegar/a pinch of salt", rows("""
Wash the {m} and cut [them|everything] [into strips|into thin slices|into small cubes].
Stir the oil, the vinegar and the salt together in a [small bowl|cup].
Pour the dressing over the {m}, add {s} and [toss|mix|turn] well.
Let it stand for {minutes} minutes so that the flavours [meet|mix].""")),
    "porridge": ("200 grams of oats/1 litre of milk/a pinch of salt", rows("""
Bring the milk to the boil with the salt.
[Rain|Stir|Sprinkle] in the oats and turn down the heat.
Cook for {minutes} minutes, stirring [all the time|slowly|so that nothing sticks].
Fold in the {m} and sprinkle with {s}.
Eat it [hot|from deep bowls|with cold cream].""")),
}

# The least and the most time for each method, in units of five minutes.
COOKING = {"soup": (4, 8), "stew": (12, 30), "pie": (7, 12), "cake": (7, 13), "bread": (7, 11),
  "dumpling": (1, 3),
           "jam": (1, 4), "salad": (2, 6), "porridge": (3, 7)}

OCCASIONS = rows("""
at weddings
on Sundays
at the new moon
after the harvest
on cold evenings
before a long journey
at midnight
on birthdays
when guests come
""")
