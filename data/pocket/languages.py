"""Pages of the pocket world in other languages: its people and towns, told about in six of them.

Each language has lists of phrases that fit together in any combination (an article and its noun in
the right case, a verb in the past tense, a place with its preposition), so that the grammar is
right without rules of inflection, and templates in the notation of data/world_grammar.py.

    who, what, where, when    phrases: subject, object, place, time  how   adverbs
    did                       verbs that take an object              went  verbs that take none
"""
import functools
import re

from data.pocket.grammar import Dice, say

GERMAN = {
    "host": "zeitung-vom-fluss.example",
    "menu": "Startseite/Über uns/Archiv/Kontakt/Suche/Anmelden",
    "who": """der alte Müller/die Lehrerin/ein junger Fischer/der Bürgermeister/die Bäckerin/
unser Nachbar/eine kluge Schneiderin/der Kutscher/die Wirtin/ein fremder Händler/der Förster/
die jüngste Tochter/ein müder Wanderer/der Uhrmacher/die Gärtnerin/der Schmied/eine alte Frau/
der Briefträger/die Hebamme/ein kleiner Junge""",
    "what": """einen schweren Korb/die kaputte Glocke/ein altes Buch/den hölzernen Wagen/
eine lange Leiter/das größte Boot/zwei Säcke Mehl/den letzten Brief/eine bunte Laterne/
ein Stück Käse/die rostige Säge/einen neuen Hut/das verlorene Schaf/einen Kessel Suppe/
die silberne Uhr/frisches Brot/einen Strauß Blumen/das blaue Tuch/drei reife Birnen/
den Schlüssel""",
    "where": """am Ufer/auf dem Marktplatz/in der Mühle/hinter der Kirche/unter der Brücke/
neben dem Brunnen/im tiefen Wald/vor dem Rathaus/auf der anderen Seite des Flusses/in der Küche/
am Rand der Wiese/zwischen den Häusern/im Hafen/bei den Linden/
in der Werkstatt/auf dem Dachboden""",
    "when": """gestern/am frühen Morgen/im letzten Winter/nach dem Regen/vor vielen Jahren/
jeden Sonntag/kurz vor Mitternacht/im Herbst/während des Festes/eines Tages/am nächsten Abend/
zum ersten Mal/gegen Mittag""",
    "did": """fand/trug/verkaufte/reparierte/brachte/suchte/kaufte/vergaß/versteckte/zeigte/malte/
bewachte/holte/verschenkte/putzte/wog""",
    "went": """wartete/schlief/sang/lachte/arbeitete/tanzte/rastete/schwieg/träumte/angelte/
weinte/pfiff""",
    "how": """leise/sehr langsam/mit großer Mühe/ohne ein Wort/ganz allein/voller Freude/
heimlich/gern""",
    "titles": """Neues aus {t}/Ein Tag in {t}/Wie {p} nach {t} kam/Das Fest von {t}/
Was {who} {where} fand/Die Geschichte von {p}/Ein seltsamer Fund in {t}/Erinnerungen an {p}""",
    "lines": """In {t} {did} {who} {when} {what}./{when} {did} {p} {how} {what} {where}./
Man sagt, dass {p} in {t} geboren wurde und dort bis heute lebt./
Niemand wusste, warum {who} {where} auf {p} wartete, aber alle sprachen darüber./
Wer nach {t} kommt, sieht zuerst die alte Brücke und dann die Häuser der Fischer./
{who} {went} {where}, und {who} {did} {how} {what}./
„Das habe ich noch nie gesehen“, sagte {p}, als {who} ihr {what} zeigte./
Es war ein kalter Tag, und {where} lag schon der erste Schnee./
Die Leute von {t} sind stolz auf ihre Stadt, obwohl sie nicht groß ist und wenig Geld hat./
{p} und {p2} arbeiteten schon lange zusammen {where}./
Später kaufte {p2} {what} und brachte alles {how} nach Hause./
Wenn es regnet, bleibt {who} lieber zu Hause und liest die Zeitung./
Am Ende waren alle zufrieden, nur {who} nicht, denn {what} blieb verschwunden./
Das Wasser des Flusses ist hier so klar, dass man jeden Stein sehen kann./
Nach der Arbeit {went} {who} {where}, wie es in {t} üblich ist./
{p} hat nie vergessen, wie {who} {what} {where} fand./
Auch in diesem Jahr wird das Fest wieder gefeiert, mit Musik, Kuchen und vielen Gästen./
Die Kinder laufen nach der Schule zum Fluss und werfen flache Steine über das Wasser./
Darum heißt die Straße noch immer so, auch wenn sich kaum jemand daran erinnert./
Der Zug fährt nur zweimal am Tag, und im Winter kommt er oft zu spät."""}
FRENCH = {
    "host": "le-journal-du-port.example",
    "menu": "Accueil/À propos/Archives/Contact/Rechercher/Connexion",
    "who": """le vieux meunier/la maîtresse d'école/un jeune pêcheur/le maire/la boulangère/
notre voisin/une habile couturière/le cocher/la patronne de l'auberge/un marchand étranger/
le garde forestier/la plus jeune fille/un voyageur fatigué/l'horloger/la jardinière/le forgeron/
une vieille dame/le facteur/la sage-femme/un petit garçon""",
    "what": """un lourd panier/la cloche cassée/un vieux livre/la charrette en bois/
une longue échelle/le plus grand bateau/deux sacs de farine/la dernière lettre/
une lanterne colorée/un morceau de fromage/la scie rouillée/un nouveau chapeau/le mouton perdu/
une marmite de soupe/la montre en argent/du pain frais/un bouquet de fleurs/le foulard bleu/
trois poires mûres/la clé de la cave""",
    "where": """au bord de la rivière/sur la place du marché/dans le moulin/derrière l'église/
sous le pont/près de la fontaine/dans la forêt profonde/devant la mairie/de l'autre côté du fleuve/
dans la cuisine/au fond du jardin/entre les maisons/dans le port/sous les tilleuls/dans l'atelier/
au grenier""",
    "when": """hier/de bon matin/l'hiver dernier/après la pluie/il y a bien des années/
chaque dimanche/peu avant minuit/en automne/pendant la fête/un jour/le lendemain soir/
pour la première fois/vers midi/avant le lever du soleil""",
    "did": """trouva/porta/vendit/répara/apporta/chercha/acheta/oublia/cacha/montra/peignit/
garda/ramassa/offrit/nettoya/pesa""",
    "went": """attendait/dormait/chantait/riait/travaillait/dansait/racontait des histoires/
jouait aux cartes/se reposait/se taisait/pleurait de joie/comptait les étoiles""",
    "how": """sans bruit/très lentement/à grand-peine/sans un mot/tout seul/avec joie/
en secret/volontiers""",
    "titles": """Des nouvelles de {t}/Une journée à {t}/Comment {p} arriva à {t}/La fête de {t}/
Le secret de {p}/L'histoire de {p}/Une étrange découverte à {t}/Souvenirs de {p}""",
    "lines": """À {t}, {who} {did} {what} {when}./{when}, {p} {did} {what} {where}./
On dit que {p} est née à {t} et qu'elle y habite encore aujourd'hui./
Personne ne savait pourquoi {who} attendait {p} {where}, mais tout le monde en parlait./
Celui qui vient à {t} voit d'abord le vieux pont, puis les maisons des pêcheurs./
{who} {went} {where}, et {who} {did} {what} {how}./
« Je n'ai jamais rien vu de pareil », dit {p} en regardant {what}./
Il faisait froid ce jour-là, et la première neige était déjà tombée {where}./
Les habitants de {t} sont fiers de leur ville, bien qu'elle soit petite et assez pauvre./
{p} et {p2} travaillaient ensemble {where} depuis longtemps./
Plus tard, {p2} acheta {what} et rentra à la maison {how}./
Quand il pleut, {who} préfère rester chez soi et lire le journal./
À la fin, tout le monde était content, sauf {who}, car on avait perdu {what}./
L'eau de la rivière est si claire ici que l'on peut voir chaque pierre./
Après le travail, {who} {went} {where}, comme c'est la coutume à {t}./
{p} n'a jamais oublié le jour où {who} {did} {what} {where}./
Cette année encore, on fera la fête avec de la musique, des gâteaux et beaucoup d'invités./
Après l'école, les enfants courent jusqu'au fleuve et jettent des cailloux plats sur l'eau./
C'est pourquoi la rue porte toujours ce nom, même si presque personne ne s'en souvient./
Le train ne passe que deux fois par jour, et en hiver il est souvent en retard."""}
SPANISH = {
    "host": "la-voz-del-molino.example",
    "menu": "Inicio/Quiénes somos/Archivo/Contacto/Buscar/Entrar",
    "who": """el viejo molinero/la maestra/un joven pescador/el alcalde/la panadera/
nuestro vecino/una hábil costurera/el cochero/la dueña de la posada/un comerciante extranjero/
el guardabosques/la hija menor/un viajero cansado/el relojero/la jardinera/el herrero/
una anciana/el cartero/la comadrona/un niño pequeño""",
    "what": """una cesta pesada/la campana rota/un libro antiguo/el carro de madera/
una escalera larga/el barco más grande/dos sacos de harina/la última carta/un farol de colores/
un trozo de queso/la sierra oxidada/un sombrero nuevo/la oveja perdida/una olla de sopa/
el reloj de plata/pan recién hecho/un ramo de flores/el pañuelo azul/tres peras maduras/
la llave del sótano""",
    "where": """a la orilla del río/en la plaza del mercado/en el molino/detrás de la iglesia/
debajo del puente/junto a la fuente/en el bosque profundo/delante del ayuntamiento/
al otro lado del río/en la cocina/al fondo del jardín/entre las casas/en el puerto/
bajo los tilos/en el taller/en el desván""",
    "when": """ayer/muy de mañana/el invierno pasado/después de la lluvia/hace muchos años/
todos los domingos/poco antes de la medianoche/en otoño/durante la fiesta/un día/
a la noche siguiente/por primera vez/hacia el mediodía/antes de salir el sol""",
    "did": """encontró/llevó/vendió/arregló/trajo/buscó/compró/olvidó/escondió/enseñó/pintó/
guardó/recogió/regaló/limpió/pesó""",
    "went": """esperaba/dormía/cantaba/se reía/trabajaba/bailaba/contaba historias/
jugaba a las cartas/descansaba/callaba/lloraba de alegría/contaba las estrellas""",
    "how": """en silencio/muy despacio/con gran esfuerzo/sin decir palabra/sin ayuda/
con alegría/a escondidas""",
    "titles": """Noticias de {t}/Un día en {t}/Cómo llegó {p} a {t}/La fiesta de {t}/
El secreto de {p}/La historia de {p}/Un extraño hallazgo en {t}/Recuerdos de {p}""",
    "lines": """En {t}, {who} {did} {what} {when}./{when}, {p} {did} {what} {where}./
Dicen que {p} nació en {t} y que todavía vive allí./
Nadie sabía por qué {who} esperaba a {p} {where}, pero todos hablaban de ello./
Quien llega a {t} ve primero el puente viejo y después las casas de los pescadores./
{who} {went} {where}, y {who} {did} {what} {how}./
«Nunca he visto nada igual», dijo {p} mientras miraba {what}./
Hacía mucho frío aquel día, y la primera nieve ya había caído {where}./
Los habitantes de {t} están orgullosos de su ciudad, aunque es pequeña y bastante pobre./
{p} y {p2} trabajaban juntos {where} desde hacía mucho tiempo./
Más tarde, {p2} compró {what} y volvió a casa {how}./
Cuando llueve, {who} prefiere quedarse en casa y leer el periódico./
Al final todos quedaron contentos, menos {who}, porque se había perdido {what}./
El agua del río es aquí tan clara que se puede ver cada piedra./
Después del trabajo, {who} {went} {where}, como es costumbre en {t}./
{p} nunca olvidó el día en que {who} {did} {what} {where}./
También este año habrá fiesta, con música, pasteles y muchos invitados./
Al salir de la escuela, los niños corren hasta el río y tiran piedras planas al agua./
Por eso la calle sigue llamándose así, aunque casi nadie se acuerda del motivo./
El tren pasa solamente dos veces al día, y en invierno suele llegar tarde."""}
ITALIAN = {
    "host": "la-lanterna-del-paese.example",
    "menu": "Pagina iniziale/Chi siamo/Archivio/Contatti/Cerca/Accedi",
    "who": """il vecchio mugnaio/la maestra/un giovane pescatore/il sindaco/la fornaia/
il nostro vicino/un'abile sarta/il cocchiere/la padrona della locanda/un mercante straniero/
il guardaboschi/la figlia più giovane/un viandante stanco/l'orologiaio/la giardiniera/il fabbro/
una vecchia signora/il postino/la levatrice/un ragazzino""",
    "what": """un cesto pesante/la campana rotta/un libro antico/il carro di legno/
una lunga scala/la barca più grande/due sacchi di farina/l'ultima lettera/
una lanterna colorata/un pezzo di formaggio/la sega arrugginita/un cappello nuovo/
la pecora smarrita/una pentola di zuppa/l'orologio d'argento/del pane fresco/un mazzo di fiori/
il fazzoletto azzurro/tre pere mature/la chiave della cantina""",
    "where": """sulla riva del fiume/sulla piazza del mercato/nel mulino/dietro la chiesa/
sotto il ponte/accanto alla fontana/nel bosco profondo/davanti al municipio/
dall'altra parte del fiume/in cucina/in fondo al giardino/fra le case/nel porto/sotto i tigli/
nella bottega/in soffitta""",
    "when": """ieri/di buon mattino/lo scorso inverno/dopo la pioggia/molti anni fa/ogni domenica/
poco prima di mezzanotte/in autunno/durante la festa/un giorno/la sera dopo/per la prima volta/
verso mezzogiorno/prima dell'alba""",
    "did": """trovò/portò/vendette/riparò/prese/cercò/comprò/dimenticò/nascose/mostrò/dipinse/
custodì/raccolse/regalò/pulì/pesò""",
    "went": """aspettava/dormiva/cantava/rideva/lavorava/ballava/raccontava storie/giocava a carte/
riposava/taceva/piangeva di gioia/contava le stelle""",
    "how": """in silenzio/molto lentamente/con grande fatica/senza una parola/senza aiuto/
con gioia/di nascosto""",
    "titles": """Notizie da {t}/Una giornata a {t}/Come {p} arrivò a {t}/La festa di {t}/
Il segreto di {p}/La storia di {p}/Una strana scoperta a {t}/Ricordi di {p}""",
    "lines": """A {t} {who} {did} {what} {when}./{when} {p} {did} {what} {where}./
Si dice che {p} sia nata a {t} e che ci abiti ancora oggi./
Nessuno sapeva perché {who} aspettasse {p} {where}, ma tutti ne parlavano./
Chi arriva a {t} vede prima il vecchio ponte e poi le case dei pescatori./
{who} {went} {where}, e {who} {did} {what} {how}./
«Non ho mai visto niente di simile», disse {p} guardando {what}./
Quel giorno faceva molto freddo, e la prima neve era già caduta {where}./
Gli abitanti di {t} sono fieri della loro città, anche se è piccola e piuttosto povera./
{p} e {p2} lavoravano insieme {where} ormai da molto tempo./
Più tardi {p2} comprò {what} e tornò a casa {how}./
Quando piove, {who} preferisce restare in casa e leggere il giornale./
Alla fine erano tutti contenti, tranne {who}, perché nessuno trovava più {what}./
L'acqua del fiume qui è così chiara che si può vedere ogni sasso./
Dopo il lavoro {who} {went} {where}, come si usa a {t}./
{p} non ha mai dimenticato il giorno in cui {who} {did} {what} {where}./
Anche quest'anno ci sarà la festa, con musica, dolci e molti ospiti./
Dopo la scuola i bambini corrono fino al fiume e lanciano sassi piatti sull'acqua./
Per questo la strada si chiama ancora così, anche se quasi nessuno ricorda il motivo./
Il treno passa soltanto due volte al giorno, e d'inverno è spesso in ritardo."""}
DUTCH = {
    "host": "bode-van-de-dijk.example",
    "menu": "Voorpagina/Over ons/Archief/Contact/Zoeken/Inloggen",
    "who": """de oude molenaar/de onderwijzeres/een jonge visser/de burgemeester/de bakkersvrouw/
onze buurman/een knappe naaister/de koetsier/de waardin/een vreemde koopman/de boswachter/
de jongste dochter/een vermoeide reiziger/de klokkenmaker/de tuinvrouw/de smid/een oude vrouw/
de postbode/de vroedvrouw/een kleine jongen""",
    "what": """een zware mand/de kapotte klok/een oud boek/de houten wagen/een lange ladder/
de grootste boot/twee zakken meel/de laatste brief/een kleurige lantaarn/een stuk kaas/
de roestige zaag/een nieuwe hoed/het verdwaalde schaap/een ketel soep/het zilveren horloge/
vers brood/een bos bloemen/de blauwe doek/drie rijpe peren/de sleutel van de kelder""",
    "where": """aan de oever/op het marktplein/in de molen/achter de kerk/onder de brug/
naast de put/in het diepe bos/voor het stadhuis/aan de overkant van de rivier/in de keuken/
aan de rand van de wei/tussen de huizen/in de haven/onder de linden/in de werkplaats/op zolder""",
    "when": """gisteren/vroeg in de ochtend/afgelopen winter/na de regen/vele jaren geleden/
elke zondag/kort voor middernacht/in de herfst/tijdens het feest/op een dag/de volgende avond/
voor het eerst/tegen de middag/voor zonsopgang""",
    "did": """vond/droeg/verkocht/herstelde/bracht/zocht/kocht/vergat/verborg/toonde/schilderde/
bewaakte/haalde/kreeg/poetste/woog""",
    "went": """wachtte/sliep/zong/lachte/werkte/danste/rustte/zweeg/droomde/viste/huilde/floot""",
    "how": """zachtjes/heel langzaam/met veel moeite/zonder een woord/helemaal alleen/vol vreugde/
stiekem/graag""",
    "titles": """Nieuws uit {t}/Een dag in {t}/Hoe {p} naar {t} kwam/Het feest van {t}/
Het geheim van {p}/Het verhaal van {p}/Een vreemde vondst in {t}/Herinneringen aan {p}""",
    "lines": """In {t} {did} {who} {when} {what}./{when} {did} {p} {how} {what} {where}./
Men zegt dat {p} in {t} geboren is en daar nog altijd woont./
Niemand wist waarom {who} {where} op {p} wachtte, maar iedereen sprak erover./
Wie naar {t} komt, ziet eerst de oude brug en daarna de huizen van de vissers./
{who} {went} {where}, en {who} {did} {how} {what}./
"Zoiets heb ik nog nooit gezien", zei {p} toen {who} haar {what} liet zien./
Het was een koude dag, en {where} lag de eerste sneeuw al./
De mensen van {t} zijn trots op hun stad, hoewel ze klein is en weinig geld heeft./
{p} en {p2} werkten al heel lang samen {where}./
Later kocht {p2} {what} en bracht alles {how} naar huis./
Als het regent, blijft {who} liever thuis om de krant te lezen./
Aan het eind was iedereen tevreden, behalve {who}, want {what} was nergens te vinden./
Het water van de rivier is hier zo helder dat je elke steen kunt zien./
Na het werk {went} {who} {where}, zoals dat in {t} gebruikelijk is./
{p} is nooit vergeten hoe {who} {where} {what} {did}./
Ook dit jaar wordt het feest weer gevierd, met muziek, koek en veel gasten./
Na school rennen de kinderen naar de rivier en gooien platte stenen over het water./
Daarom heet de straat nog altijd zo, ook al weet bijna niemand meer waarom./
De trein rijdt maar twee keer per dag, en in de winter komt hij vaak te laat."""}
PORTUGUESE = {
    "host": "folha-da-ribeira.example",
    "menu": "Início/Quem somos/Arquivo/Contacto/Pesquisar/Entrar",
    "who": """o velho moleiro/a professora/um jovem pescador/o presidente da câmara/a padeira/
o nosso vizinho/uma hábil costureira/o cocheiro/a dona da estalagem/um mercador estrangeiro/
o guarda-florestal/a filha mais nova/um viajante cansado/o relojoeiro/a jardineira/o ferreiro/
uma velha senhora/o carteiro/a parteira/um menino pequeno""",
    "what": """um cesto pesado/o sino partido/um livro antigo/a carroça de madeira/
uma escada comprida/o maior barco/dois sacos de farinha/a última carta/uma lanterna colorida/
um pedaço de queijo/a serra enferrujada/um chapéu novo/a ovelha perdida/uma panela de sopa/
o relógio de prata/pão fresco/um ramo de flores/o lenço azul/três peras maduras/
a chave da adega""",
    "where": """à beira do rio/na praça do mercado/no moinho/atrás da igreja/debaixo da ponte/
junto à fonte/na floresta profunda/em frente da câmara municipal/do outro lado do rio/
na cozinha/ao fundo do jardim/entre as casas/no porto/sob as tílias/na oficina/no sótão""",
    "when": """ontem/de manhã cedo/no inverno passado/depois da chuva/há muitos anos/
todos os domingos/pouco antes da meia-noite/no outono/durante a festa/um dia/
na noite seguinte/pela primeira vez/por volta do meio-dia/antes do nascer do sol""",
    "did": """encontrou/levou/vendeu/consertou/trouxe/procurou/comprou/esqueceu/escondeu/mostrou/
pintou/guardou/apanhou/ofereceu/limpou/pesou""",
    "went": """esperava/dormia/cantava/ria/trabalhava/dançava/contava histórias/jogava às cartas/
descansava/ficava em silêncio/chorava de alegria/contava as estrelas""",
    "how": """em silêncio/muito devagar/com grande esforço/sem uma palavra/sem ajuda/
com alegria/às escondidas""",
    "titles": """Notícias de {t}/Um dia em {t}/Como {p} chegou a {t}/A festa de {t}/
O segredo de {p}/A história de {p}/Uma estranha descoberta em {t}/Lembranças de {p}""",
    "lines": """Em {t}, {who} {did} {what} {when}./{when}, {p} {did} {what} {where}./
Dizem que {p} nasceu em {t} e que ainda hoje vive lá./
Ninguém sabia porque é que {who} esperava por {p} {where}, mas todos falavam disso./
Quem chega a {t} vê primeiro a ponte velha e depois as casas dos pescadores./
{who} {went} {where}, e {who} {did} {what} {how}./
«Nunca vi nada assim», disse {p} enquanto olhava para {what}./
Naquele dia fazia muito frio, e a primeira neve já tinha caído {where}./
Os habitantes de {t} têm orgulho na sua cidade, embora seja pequena e bastante pobre./
{p} e {p2} trabalhavam juntos {where} havia muito tempo./
Mais tarde, {p2} comprou {what} e voltou para casa {how}./
Quando chove, {who} prefere ficar em casa a ler o jornal./
No fim ficaram todos contentes, menos {who}, porque ninguém encontrava {what}./
A água do rio é aqui tão clara que se pode ver cada pedra./
Depois do trabalho, {who} {went} {where}, como é costume em {t}./
{p} nunca esqueceu o dia em que {who} {did} {what} {where}./
Também este ano haverá festa, com música, bolos e muitos convidados./
Depois da escola, as crianças correm até ao rio e atiram pedras lisas para a água./
É por isso que a rua ainda tem esse nome, embora quase ninguém se lembre da razão./
O comboio passa apenas duas vezes por dia, e no inverno chega muitas vezes atrasado."""}
LANGUAGES = {"de": GERMAN, "fr": FRENCH, "es": SPANISH, "it": ITALIAN, "nl": DUTCH,
             "pt": PORTUGUESE}


@functools.lru_cache(None)
def templates(code: str, name: str) -> list:
    """The lines of a language, with the lists in them written out as alternatives."""
    language = {key: text.replace("/\n", "/").replace("\n", " ")
                for key, text in LANGUAGES[code].items()}
    return [re.sub(r"\{(\w+)\}", lambda slot: "[" + language[slot[1]].replace("/", "|") + "]"
                   if slot[1] in language else slot[0], line) for line in language[name].split("/")]


def page(world, dice: Dice) -> tuple:
    """(language, host, words of the navigation, title, text) of a page of 120 to 250 words."""
    code = dice.pick(list(LANGUAGES))
    women = [person for person in world.people if person.female]
    p, p2 = dice.pick(women), dice.pick(world.people)      # the verbs agree with p
    facts = {"p": p, "p2": p2, "t": dice.pick(world.towns)}
    title = say(dice, dice.pick(templates(code, "titles")), facts)
    lines = [say(dice, line, facts)
             for line in dice.some(templates(code, "lines"), dice.between(10, 16))]
    title, *lines = (line[0].upper() + line[1:] for line in (title, *lines))
    third = len(lines) // 3
    text = "\n\n".join([title, " ".join(lines[:third]), " ".join(lines[third:2 * third]),
                        " ".join(lines[2 * third:])])
    return code, LANGUAGES[code]["host"], tuple(LANGUAGES[code]["menu"].split("/")), title, text
