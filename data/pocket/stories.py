"""What the pocket world tells: openings, scenes, plots and endings of its stories (data only)."""

from data.pocket.words import rows

# ------------------------------------------------------------------------------------------ stories

OPENINGS = rows("""
[Once|One {season}|Long ago], {h.given}, a {h.nature} {h.trade}, lived [in|near] {t}.
In {t}, {near} the {building}, lived a {h.trade} called {h.given}.
[Every {day}|Every morning at {hour}] {h.given} {move.ed} [along|down] the {way} to the {h.place}.
It was a {sky} {day} in {month}, and {h.given} was {mood}.
There [was once|lived] a {h.nature} {h.trade} in {t}, [and {h.his} name was {h.given}|whose name
  was {h.given}|called {h.given}].
The {h.place} of {h.given} [stood|was] at the end of a {landish} {way} in {t}.
{h.given} [was a {h.trade} in {t}|worked in the {h.place}] and had never been further than {u}.
When {h.given} was {8-12} years old, {h.his} {kin} moved to {t}.
People in {t} said that {h.given} was the most {nature} {h.trade} in {t.region}.
The {season} had come to {t}, and in the {h.place} {h.given} was {mood}.
""")
SCENES = rows("""
Outside, a {bird} {call.ed} in the {tree}.
The {room} smelled of {smell*2}.
On the {furniture} stood a {cond} {container}, a {tool} and {2-9} {fruit.s}.
{flower.s} {grow.ed} {near} the {building}.
The wind {weather_do.ed} the {tree.s}[|, and somewhere a {instrument} was playing].
A {animal} {look.ed} at {h.him} from the {nest}.
It was {sky}, and the {way.s} of {t} were [empty|wet|full of {folk.s}].
In the {room} hung {garment.s} of {cloth}, {colour*2}.
The {t.river} was [high|low|calm|full of {vessel.s}].
A {vehicle} with {goods} rolled past the {building}.
Two {folk.s} were [arguing about|talking about|selling] {goods}.
Somebody had painted a {bird} on the door of the {building}.
There was a plate of {food} on the table and {drink} in the {cup}.
From the {land} came the smell of {smell}.
The {hour} light made the {stone} look {colour}.
A {kin} was calling somebody to [supper|breakfast].
{h.given} wore a {colour} {garment} and [a {cond} {garment}|only one {garment}].
Beyond the {tree.s} one could see the {land} and a {landish} {land}.
{bug.s*2} hummed above the {flower.s}.
The {building} [looked|seemed] smaller than before.
""")
FEELINGS = rows("""
{h.given} felt {low}[| and a little {low}].
{h.He} was {low}, but {h.he} did not [show|say] it.
{h.He} [sighed|shook {h.his} head|bit {h.his} lip|wiped {h.his} eyes] and {look.ed} at the
  {furniture}.
{h.His} {limb.s} were cold, and {h.his} heart beat fast.
"[A little {virtue}|Only {virtue}|Now {virtue}]," {h.he} told {h.himself}.
{h.He} thought of {h.his} {kin}, who had [never|always] been {low}.
For a while {h.he} could not [move|speak|think].
{h.He} sat down {near} a {tree} and [sighed|closed {h.his} eyes|held {h.his} breath].
That night {h.he} did not sleep; {h.he} counted {animal.s} until {hour}.
{h.He} wanted to [go home|cry|hide|run away|ask somebody], but instead {h.he} ate a {bake}.
""")
MEETING = rows("""
[Then|At the {building}|{near} the {building}] {h.he} met {f.given}, a {f.trade}[| with a {colour}
  {garment}].
{h.His} friend {f.given}, the {f.trade}, was [just |]{mend.ing} a {tool}.
{f.given}, a {f.nature} {f.trade} from {f.home}, came by with a {container}.
[Luckily|As it happened], {f.given} the {f.trade} was in the {building} that day.
So {h.given} went to {f.given}, a {f.trade}, who knew [everything|something] about {subject}.
""")
ASKS = rows("""
[Why do you look so {mood}|What has happened|What is the matter|Are you {mood}]?
[Have you eaten|May I sit down|Do you have time|Is that your {container}]?
[Who told you that|What did the {folk} say|Since when]?
[Where have you looked|What have you tried|What do you need]?
""")
ADVICE = rows("""
[Let us|We should] begin with what we have: a {tool}, a {container} and {virtue}.
My {elder} used to say that {virtue} is worth more than {goods}.
You need {food} first and a plan afterwards.
Take my {cond} {tool}; I [never|hardly ever] use it.
I would go to the {land} before {hour}.
Two {limb.s} are good, four are better.
Ask the {folk} {near} the {site}; nobody in {t} sees more.
It will not be easy, but it will be a good story.
I was {mood} too, when I was your age.
Wait until {day}. Things look different in {sky} weather.
""")
JOURNEYS = rows("""
They {move.ed} through the {land} and past a {landish} {land}.
The {way} led {h.him} past a {site}, a {land} and {2-9} {tree.s}.
{h.He} took a {vehicle} as far as the {land} and {move.ed} the rest of the way.
For {2-5} hours {h.he} {move.ed} {manner}, with only {food} in {h.his} [bag|basket|pocket|satchel].
At the {land} {h.he} rested, drank some {drink} and {mend.ed} a {garment}.
{h.He} {mend.ed} the {tool}, {mend.ed} the {container} and set out {manner}.
""")
CLOSINGS = rows("""
From that day on, [nobody in {t} laughed at|everyone in {t} greeted] {h.given}.
{h.given} [kept|hung] the {tool} {near} the {furniture}, where everyone could see it.
"[It was|That was] nothing," said {h.given}, but {h.he} was {glad}.
And if you go to {t}, you can still see the {building} where it happened.
They ate {food} and {bake.s} until {hour}.
That evening {h.given} {mend.ed} the {garment} and [smiled|laughed|nodded|grinned|hummed a song].
In the {season} {h.he} told the story to every {folk} who came to the {h.place}.
{h.He} had learned that {virtue} is often more useful than {goods}.
{f.given} said nothing, but {f.he} [smiled|laughed|nodded|grinned] {tone}.
Since then there has always been a {cup} of {drink} on the {furniture} for [strangers|{f.given}].
""")

# A plot: titles; the want; the obstacle; attempts; the turn; the outcome; things said about it.
PLOTS = [
    (rows("""
The Lost {x}
{h.given} and the {x}
Where Is the {x}?"""), rows("""
[Above all|More than anything] {h.he} loved a {cond} {x}, a present from {h.his} {elder}.
{h.He} owned one precious thing: a {cond} {x} that [had belonged|belonged] to {h.his} {elder}."""),
  rows("""
One morning the {x} was gone. [It was not|Nobody had seen it] in the {container} where it always
  lay.
But on {day}, when {h.he} came home from the {building}, the {x} had disappeared."""), rows("""
{h.He} searched the {room} and looked into every {container}, but found only a {trinket}.
{h.He} asked {2-9} {folk.s}, and all of them shook their heads.
{h.He} drew a picture of the {x} and hung it on the door of the {building}.
{h.He} [crept|looked] under the {furniture}, where there was nothing but dust and a {toy}.
Step by step, {h.he} walked the whole way back to the {land}."""), rows("""
Then {h.he} heard a {noise} sound: a {bird} was carrying something that shone to its nest in the
  {tree}.
In the end {h.he} put on the {garment} again, and there, in the lining, was something hard."""),
  rows("""
It was the {x}, [a little broken|dirty but whole]. {h.given} laughed until {h.he} had to sit down.
There lay the {x}. {h.He} gave the {folk} a {bake} and never let it out of {h.his} sight
  again."""), rows("""
I have lost my {x}
The {x} cannot have walked away
Think of the last place where you held it""")),
    (rows("""
A Present for {f.given}
The {x} for the {festival}
What {h.given} Made"""), rows("""
The {festival} was near, and {h.he} wanted to make a {x} for {f.given}.
{f.given} had a birthday in {month}, and {h.given} had decided to make a {x}."""), rows("""
But {h.he} had only {2-9} {coin.s}, and a {x} needs {material} and {cloth}.
But {h.he} was all thumbs: the {material} broke, the {cloth} tore, and the glue stuck to {h.his}
  {limb.s}."""), rows("""
{h.He} sold {fruit.s} {near} the {building}, but it rained and nobody came.
{h.He} tried to carve one out of {wood}; it looked like a {animal}.
{h.He} borrowed a {tool} from a {folk} and broke it on the first day.
{h.He} worked until {hour}, and a {animal} ate [half of it|the best piece].
{h.He} asked a {folk} for {material}, and in return {h.he} had to {mend} {2-9} {container.s}."""),
  rows("""
On the last evening {h.he} looked at {h.his} own {cond} {garment}, cut it up, and began once more.
Then {h.his} {elder} showed {h.him} how to hold the {tool}, and [slowly|suddenly] the work went
  well."""), rows("""
The {x} was crooked, but {f.given} {gesture.ed} and said it was the best present of all.
When {f.given} opened the {container} and saw the {x}, nobody spoke. Then {f.he} put it {near} the
  window, where it still is."""), rows("""
It should be a surprise
A present does not have to be perfect
I have never made a {x} before""")),
    (rows("""
The Bridge at {t}
The Message
{h.given} Carries a {paper}"""), rows("""
{h.given} had to bring a {paper} to {u} before {hour}, because [a life|a wedding|the harvest]
  depended on it.
The doctor gave {h.him} a {paper} for {u} and told {h.him} to hurry."""), rows("""
But the {t.river} had risen in the night, and the bridge was gone.
But after the {disaster} the only {way} to {u} lay under water."""), rows("""
{h.He} called for the ferry, but the wind carried {h.his} voice away.
{h.He} pushed a {furniture} into the water and sat on it; it sank like a stone.
{h.He} walked upstream to the {land}, where the water is shallow, but it was not shallow any more.
{h.He} tied a rope to a {tree}, and the rope broke.
{h.He} asked a {folk} for a {vessel}, but it had a hole as big as a {container}."""), rows("""
Then {h.he} saw the {animal.s}: every evening they crossed where the old wall lay under the water.
  {h.He} followed them.
Then {f.given} came with a {vehicle} full of {container.s}. They tied them together and made a
  raft."""), rows("""
{h.He} arrived in {u} wet to the skin, with the {paper} dry under {h.his} {garment}.
The {paper} arrived in time, and {h.given} slept for {12-19} hours in the {room} of a {folk}."""),
  rows("""
The {paper} must be in {u} today
Water is stronger than you
There is always a second way across""")),
    (rows("""
The Great {bake} Contest
{h.given} Wants to Win
The {metal} {trinket}"""), rows("""
At the {festival} there was a prize, a {metal} {trinket}, for the best {bake}, and {h.given} wanted
  to win it.
Every {season} the cooks of {t} held a contest, and this time {h.given} wanted to show them a
  {bake} with {fruit.s}."""), rows("""
But {f.given} had won {3-9} times and was very sure of {f.himself}.
But the oven smoked, and the first {bake} was as hard as {stone}."""), rows("""
{h.He} tried {spice}; the neighbours coughed for an hour.
{h.He} took {2-9} eggs instead of one, and it ran over the {furniture}.
{h.He} read {2-9} cookery books from beginning to end and became only hungry.
{h.He} mixed salt with sugar, because the {container.s} looked alike.
{h.He} baked all night, and at {hour} a {animal} stole the result."""), rows("""
An hour before the contest {f.given} dropped {f.his} {container}. {h.given} hesitated, and then
  shared {h.his} own flour.
Then {h.he} remembered how {h.his} {elder} had done it: simply, with butter, {fruit.s} and
  time."""), rows("""
The judges ate in silence and asked for more. The {trinket} went to both of them.
{h.He} came {ordinal}, and a child asked for the recipe. That was better than a {trinket}."""),
  rows("""
I shall win this year
A {bake} does not ask who is famous
The secret is not to hurry""")),
    (rows("""
The {c} with the Broken Leg
{h.given} and the {c}
A Guest in the {room}"""), rows("""
On the way to the {land} {h.given} found a young {c}. It was hurt, and {h.he} wanted to save it.
{near} the {building} lay a {c}, thin and wet. {h.given} wrapped it in a {garment} and took it
  home."""), rows("""
But it would not eat, and it hid {near} the {furniture}.
But nobody in {t} knew how to care for a {c}, and it became weaker."""), rows("""
{h.He} offered it {food}, then {vegetable.s}; it turned its head away.
{h.He} made a bed for it in a [basket|box|drawer|crate], and it bit {h.him} in the {limb}.
{h.He} sang to it. It seemed to listen, but it did not eat.
{h.He} kept it warm with {cloth} and a bottle of hot water.
{h.He} carried it to a {folk}, who only said that it would die."""), rows("""
Then {f.given} remembered that a {c} eats {c.diet}. They went out at {hour} to find some.
In the night it woke {h.him}. It had climbed on the {furniture} and was looking at the moon."""),
  rows("""
In {month} {h.he} opened the door, and the {c} ran to the {land} without looking back. {h.given}
  was sad and happy at once.
It grew strong, and one {sky} morning it was gone. Since then a {c} comes to the garden every
  {season}."""), rows("""
It is only a {c}, people say
Every creature wants to go home
It lives in the {c.habitat}, not in a {container}""")),
    (rows("""
The Quarrel
Two Neighbours in {t}
{h.given}, {f.given} and the {tree}"""), rows("""
{h.given} and {f.given} were neighbours, and {h.given} wanted nothing but peace and {food}.
Between the house of {h.given} and the house of {f.given} stood a {tree}, and both of them loved
  it."""), rows("""
But one day they quarrelled about {2-20} {fruit.s}, and after that they did not speak.
But a branch fell on the {furniture} of {f.given}, and {f.he} shouted things that {f.he} did not
  mean."""), rows("""
{h.He} wrote a {paper} and tore it up again.
{h.He} put a {bake} on the wall; a {animal} ate it.
{h.He} built a fence and painted it {colour}, but it made {h.him} only {mood}.
{h.He} sent a {folk} with greetings, who mixed up the words.
{h.He} practised a speech in front of the {furniture}."""), rows("""
Then came the {disaster}. In the dark {h.given} heard somebody call for help, took a {tool} and ran.
Then the {kin} of {f.given} fell ill, and {h.given} stood at the door with {food} before anyone
  asked."""), rows("""
They sat {near} the {tree} and could not remember who had started it.
The next day they took down the fence and made a bench of it, wide enough for two."""), rows("""
I was wrong, and I am sorry
It was never about the {fruit.s}
Somebody has to be the first""")),
    (rows("""
The Noise in the {building}
A {noise} in the Night
Who Lives in the {building}?"""), rows("""
In the old {building} of {t} something was {noise} every night, and {h.given} wanted to know what
  it was.
No one dared to enter the {building} after [dark|nightfall|midnight|sunset]. {h.given} did not
  believe in ghosts."""),
  rows("""
But the door was locked, and the lamp went out as soon as {h.he} came near.
But inside it was dark, the floor was rotten, and the {noise} came closer."""), rows("""
{h.He} climbed on a {container} and looked through the window: nothing but {furniture.s}.
{h.He} strewed flour on the floor; in the morning there were {2-9} strange marks.
{h.He} took along a {animal}, and it ran away at once.
{h.He} called, "Who is there?" and only {h.his} own voice came back.
{h.He} tied a bell to the door and waited behind a {furniture}."""), rows("""
Then the moon came out, and {h.he} saw it: the wind moved a {cond} {tool} against a {container}.
Behind the {furniture} sat a {animal} with {2-9} young ones, and it was more {mood} than {h.he}
  was."""), rows("""
{h.given} laughed so loudly that the whole street woke up.
{h.He} told nobody for a week, because the children of {t} liked their ghost."""), rows("""
There are no ghosts
Something is {noise} in there
Fear makes a {beast} out of a {bug}""")),
    (rows("""
The Apprentice
How {h.given} Learned to Be a {h.trade}
{h.given} Begins"""), rows("""
When {h.given} was young, {h.he} wanted to become the best {h.trade} in {t.region}.
{f.given} took {h.given} into the house, to teach {h.him} {virtue} and a trade."""), rows("""
But everything {h.he} touched broke, and after {2-9} weeks {h.he} was only allowed to sweep the
  {room}.
But the master only said, "Look," and never explained anything."""), rows("""
{h.He} practised in secret with a {cond} {tool} and cut {h.his} {limb}.
{h.He} did everything in a hurry and had to do everything twice.
{h.He} copied the others, and made all their mistakes as well.
{h.He} got up at {hour} and {mend.ed} {2-20} {tool.s} before breakfast.
{h.He} counted the days in {colour} chalk on the wall of the {room}."""), rows("""
One {sky} evening {h.he} stopped trying and simply watched the hands of {f.given}. They were slow.
  Suddenly {h.he} understood.
Then the master fell ill, and the work had to be finished by {day}. There was nobody but
  {h.given}."""), rows("""
"Now you may begin," said {f.given}, and gave {h.him} a {tool} of {h.his} own.
The work was not perfect, but it held. {f.given} looked at it for a long time and
  {gesture.ed}."""), rows("""
I shall never learn it
Look first, then do
My first {bake} was worse than yours""")),
    (rows("""
The Dry Summer
Water for {t}
{h.given} and the Well"""), rows("""
It had not rained since {month}, and {h.given} wanted to save {h.his} {fruit.s} and {vegetable.s}.
{h.given} had planted a {tree} for {h.his} {kin}, and it had to live."""), rows("""
But the well was empty, and the {t.river} was [a row of puddles|thin as a ribbon].
But the leaves turned {colour}, and the ground was hard as {stone}."""), rows("""
{h.He} carried water in a {container} from the {land}, {2-9} times a day.
{h.He} covered the ground with straw, so that it stayed damp for an hour longer.
{h.He} dug beside the {building} and found {2-9} {trinket.s}, but no water.
{h.He} asked an old {folk} who could smell rain; the {folk} smelled only {smell}.
{h.He} saved the water in which {h.he} had washed the {garment.s}."""), rows("""
Then {h.he} noticed that {bug.s} flew to one place {near} the {tree.s}. There {h.he} dug again.
Then {f.given} called everyone together: each house gave one {container}, and nobody's garden was
  left out."""), rows("""
On {day} it began to rain. Everyone stood in the {way} with open mouths.
Deep down the earth was dark and wet. By {hour} the first {container} was full."""), rows("""
It will not rain before {day}
Where {bug.s} fly there is water
A garden belongs to everyone who carries water""")),
    (rows("""
Lost in the Fog
The Way Home
{h.given} in the Mist"""), rows("""
{h.given} only wanted to gather {fruit.s} on the {high} and be home by {hour}.
It was {h.given}'s task to bring the {herd.s} down from the {high} before the winter."""), rows("""
But the fog came so quickly that {h.he} could not see {h.his} own {limb.s}.
But snow covered every path, and the {tree.s} all looked alike."""), rows("""
{h.He} followed a wall of {stone} until it ended in the air.
{h.He} shouted, and only a {bird} answered.
{h.He} walked for an hour and came back to the same {tree}.
{h.He} followed {h.his} own footprints and thought they were somebody else's.
{h.He} lit a fire of {wood}, but it smoked and went out."""), rows("""
Then {h.he} stood still and listened. Far away a {noise} sound could be heard: the water of the
  {t.river}. Water flows down to the town.
Then a {animal} came out of the white and walked ahead, as if it were glad to have company."""),
  rows("""
At {hour} {h.he} saw the lamp of {f.given}, who had put it in the window for {h.him}.
When {h.he} knocked at the door, there was a plate of {food} on the table, and nobody asked
  anything until
  {h.he} had eaten."""), rows("""
Stand still when you are lost
I can see nothing at all
The river knows the way""")),
    (rows("""
The Honest Pedlar
A Fair Price
{h.given} Goes to Market"""), rows("""
{h.given} wanted to buy a {animal} and had saved {20-90} {coin.s} for it.
{h.given} went to the market of {u} to sell {fruit.s} and {goods}, and needed {20-90} {coin.s} for
  the rent."""), rows("""
But a {nature} {rogue} with a {colour} {garment} offered a {container} that was said never to be
  empty.
But the scales of the {rogue} were false, and at noon half of the money was missing."""), rows("""
{h.He} complained, and the {rogue} {gesture.ed}.
{h.He} weighed a {fruit} and a {stone} pebble against each other, and the scales said that they
  were equal.
{h.He} went to the judge, who was eating {d} and had no time.
{h.He} counted {h.his} {coin.s} {2-9} times, but they did not become more.
{h.He} hid behind a {vehicle} and watched {manner}."""), rows("""
Then {f.given} bought {2-9} {fruit.s} and asked the {rogue} to weigh them on both sides of the
  scales. The crowd saw it.
At night {h.he} found a {container} on the road. It held {90-400} {coin.s} and a {paper} with a
  name."""), rows("""
{h.He} gave it back, and the owner, a {folk}, gave {h.him} the {animal} that {h.he} had wanted.
The {rogue} left {u} the same day, and the false scales hang in the {building} as a warning."""),
  rows("""
That is not a fair price
Weigh it again, please
Honest money is light to carry""")),
    (rows("""
The Song
{h.given} Finds a Voice
The Quiet {h.trade}"""), rows("""
{h.given} had a beautiful voice, but {h.he} sang only when {h.he} was alone with the {animal.s}.
In secret {h.given} played the {instrument}, and {h.he} wished that somebody would hear it."""),
  rows("""
But as soon as people looked at {h.him}, {h.his} throat closed and {h.his} {limb.s} shook.
But at the last {festival} {h.he} had forgotten the words, and everyone had laughed."""), rows("""
{h.He} practised in the {room}, with a cushion over {h.his} head.
{h.He} sang to {2-20} {animal.s}, who did not laugh.
{h.He} drank {drink} with honey and {spice}, and became only sleepy.
{h.He} imagined that all the people were {vegetable.s}; then {h.he} had to giggle.
{h.He} wrote the words on {h.his} {limb}, and the rain washed them off."""), rows("""
Then, on a {sky} evening, a child could not sleep, and {h.given} forgot to be afraid.
At the {festival} the fiddler was ill, and {f.given} {look.ed} around and pointed at
  {h.given}."""), rows("""
When {h.he} opened {h.his} eyes again, the whole street was silent, and then the clapping began.
It was not loud, but everyone could hear it. {f.given} wiped {f.his} eyes with a {garment}."""),
  rows("""
They will laugh at me
Sing for one person, and forget the rest
You do not have to be loud""")),
]
