"""The web sites of the pocket world: a dozen hosts, each with its own layout.

How a layout is filled in is told in data/world_html.py, and so is what the $names in it mean.
"""
import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    name: str
    layout: str
    paragraph: str = "<p>%s</p>\n"
    post: str = '<div class="post"><p><b>%s</b> wrote: %s</p></div>\n'
    entities: bool = False              # &quot; &ndash; and so on in the text
    server: str = "nginx"


ENCYCLOPEDIA = """
<!DOCTYPE html>
<html class="client-nojs" lang="$lang" dir="ltr">
<head>
$meta
<title>$title - $name</title>
$social?
<link rel="canonical" href="$url">
$style
$script
</head>
<body class="skin-plain ns-0">
<div id="mw-page-base" class="noprint"></div>
<div id="content" class="mw-body" role="main">
<h1 id="firstHeading" class="firstHeading">$title</h1>
<div id="bodyContent">
<div id="jump-to-nav" class="noprint"><a href="#mw-head">Jump to navigation</a></div>
<div id="mw-content-text" class="mw-parser-output">
$text
</div>
<div class="printfooter noprint">Retrieved from <a href="$url">$url</a></div>
<div id="catlinks" class="catlinks"><a href="/categories">Categories</a>: $tags</div>
</div>
</div>
<div id="mw-navigation" class="noprint"><h2>Navigation menu</h2>
<div id="mw-head" role="navigation"><ul><li><a href="/talk">Talk</a></li>$menu
<li><a href="/edit">Edit</a></li><li><a href="/history">View history</a></li></ul></div>
<div id="mw-panel" role="navigation"><h3>Pages nearby</h3><ul>
$links9
</ul></div>
</div>
<div id="footer" role="contentinfo"><ul id="footer-info">
<li>This page was last edited on $day, at $number o'clock.</li><li>$legal</li></ul></div>
</body>
</html>
"""

TALES = """
<!doctype html>
<html lang="$lang">
<head>
$meta
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title | $name</title>
<meta name="description" content="$lead">
$social
$linked?
$style
$script
</head>
<body class="single single-story">
$cookies?
<header class="site-header"><a class="logo" href="/">$name</a>
<nav class="main-navigation" aria-label="Primary"><ul class="menu">$menu</ul></nav></header>
<nav class="breadcrumbs"><a href="/">Home</a> &raquo; <a href="/story">Stories</a></nav>
<main id="main">
<article class="entry">
<header class="entry-header"><h1 class="entry-title">$title</h1></header>
<div class="entry-content">
$text
</div>
<footer class="entry-footer">Filed under $tags</footer>
</article>
<nav class="post-navigation"><span>More stories:</span> $row3</nav>
$comments?
</main>
<aside class="sidebar widget-area">
<section class="widget"><h2>Read next</h2><ul>
$links8
</ul></section>
$ad?
</aside>
<footer class="site-footer"><p>$legal</p></footer>
$script?
</body>
</html>
"""

NEWS = """
<!DOCTYPE html>
<html lang="$lang" prefix="og: http://ogp.me/ns#">
<head>
$meta
<title>$title</title>
$social
$linked
$style
$script
</head>
<body>
<div class="topbar"><ul class="nav nav-top">$menu</ul><span class="weather">$number degrees</span>
</div>
$ad
<header class="masthead"><p class="logo"><a href="/">$name</a></p>
<nav class="sections"><ul><li><a href="/news">News</a></li><li><a href="/trade">Trade</a></li>
<li><a href="/weather">Weather</a></li><li><a href="/letters">Letters</a></li></ul></nav></header>
<div class="ticker" role="navigation">Latest: $row4</div>
<main class="page-main">
<article class="article" itemscope itemtype="http://schema.org/NewsArticle">
<h1 itemprop="headline">$title</h1>
<div class="share-bar social">$share</div>
<div class="article-body" itemprop="articleBody">
$text
</div>
$ad?
<div class="share-bar social">$share</div>
</article>
</main>
<aside class="related related-articles"><h3>Most read</h3><ol>
$links9
</ol></aside>
$comments?
$cookies?
<footer class="footer"><nav><ul><li><a href="/subscribe">Subscribe</a></li>
<li><a href="/jobs">Work with us</a></li></ul></nav><p class="copyright">$legal</p></footer>
</body>
</html>
"""

LADLE = """
<!DOCTYPE html>
<html lang="$lang">
<head>
$meta
<title>$title - $name</title>
<meta name="description" content="$lead">
$linked
$style
</head>
<body class="recipe-template">
<nav class="navbar"><a class="brand" href="/">$name</a><ul>$menu</ul></nav>
<div class="site-inner"><div class="content-sidebar-wrap">
<main class="content">
<article class="post recipe">
<h1 class="entry-title">$title</h1>
<div class="recipe-tools no-print"><button>Print</button> <button>Save</button>
<a href="#comments">$number ratings</a></div>
<div class="entry-content">
$text
</div>
<p class="entry-tags tags">$tags</p>
</article>
<div class="jp-relatedposts related-posts"><h3>You might also like</h3><ul>
$links6
</ul></div>
$comments
</main>
<aside class="sidebar"><div class="widget newsletter"><h4>Never miss a meal</h4><form>
<input type="email" placeholder="Your address"><button>Sign up</button></form></div>
$ad
</aside></div></div>
<footer class="site-footer"><p>$legal</p></footer>
$cookies?
$script
</body>
</html>
"""

HOW = """
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
 "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="$lang">
<head>
$oldmeta
<title>$title :: $name</title>
$style
$script
</head>
<body>
<div id="wrapper"><div class="container">
<div class="row header"><div class="col-md-12"><a href="/"><img src="/logo.gif" alt="$name" /></a>
<ul class="nav nav-pills">$menu</ul></div></div>
<div class="row breadcrumb"><a href="/">$name</a> / <a href="/all">Questions</a></div>
<div class="row">
<div class="col-md-8 content">
<div class="page-header"><h1>$title</h1></div>
<div class="post-content">
$text
</div>
<div class="share social-share">$share</div>
</div>
<div class="col-md-4 sidebar">
<div class="panel widget"><div class="panel-heading">Other questions</div><ul class="list-unstyled">
$links7
</ul></div>
$ad?
</div>
</div>
<div class="row pagination">$pages</div>
<div class="row footer"><div class="col-md-12">$legal</div></div>
</div></div>
</body>
</html>
"""

SLATE = """
<HTML>
<HEAD>
$oldmeta
<TITLE>$title</TITLE>
<META NAME="generator" CONTENT="PageMill 3.0">
</HEAD>
<BODY BGCOLOR="#FFFFE8" TEXT="#000000" LINK="#0000CC">
<!-- begin header -->
<TABLE WIDTH="100%" BORDER=0 CELLPADDING=4><TR><TD BGCOLOR="#003366">
<FONT COLOR="#FFFFFF" SIZE="+2">$name</FONT></TD></TR></TABLE>
<TABLE WIDTH="750" BORDER=0 CELLSPACING=6><TR VALIGN=top>
<TD WIDTH=150 BGCOLOR="#CCCC99" CLASS="nav"><FONT SIZE="-1"><UL>$menu</UL>
<B>All lessons</B><UL>
$links7
</UL></FONT></TD>
<TD>
<!-- begin text -->
<H1>$title</H1>
$text
<!-- end text -->
</TD></TR></TABLE>
<HR>
<CENTER CLASS="footer"><FONT SIZE="-2">$legal<BR>You are visitor number $number9999.
Best viewed with any lamp.</FONT></CENTER>
</BODY>
</HTML>
"""

LETTERS = """
<?xml version="1.0"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN"
 "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" lang="$lang">
<head>
$oldmeta
<title>$name: $title</title>
<link rel="stylesheet" type="text/css" href="/archive.css" />
<style type="text/css">/*<![CDATA[*/ p { text-indent: 1em } .nav a > b { color: navy } /*]]>*/
</style>
</head>
<body id="archive">
<div id="header"><h2><a href="/">$name</a></h2><ul id="nav">$menu</ul></div>
<div id="main">
<h1>$title</h1>
<blockquote class="letter">
$text
</blockquote>
</div>
<div id="sidebar"><h3>From the same box</h3><ul>
$links8
</ul></div>
<div id="footer"><p>Box $number, folder $number. $legal</p></div>
$script
</body>
</html>
"""

PUMP = """
<!DOCTYPE html>
<html dir="ltr" lang="$lang">
<head>
$meta
<title>$title - $name</title>
$style
$script?
</head>
<body id="phpbb" class="nojs section-viewtopic">
<div id="wrap" class="wrap">
<div id="page-header" class="headerbar"><a id="logo" href="/">$name</a>
<ul id="nav-main" class="nav linklist navlinks" role="menubar">$menu<li><a href="/faq">FAQ</a></li>
<li><a href="/register">Register</a></li></ul></div>
<div id="page-body" role="main" class="page-body">
<h1 class="topic-title">$title</h1>
$text
</div>
<div class="action-bar actions pagination">$number posts $pages</div>
<div class="similar-topics related"><h3>Similar threads</h3><ul class="topiclist">
$links6
</ul></div>
<div class="stat-block online-list"><h3>Who is online</h3><p>Users browsing this forum: $user and
$number guests</p></div>
$ad?
<div id="page-footer" class="page-footer footer" role="contentinfo"><div class="copyright">$legal
</div></div>
</div>
</body>
</html>
"""
PUMP_POST = """<div class="post bg2"><div class="inner">
<div class="postbody content"><p><strong class="author">%s</strong> wrote: %s</p></div>
<dl class="postprofile"><dt class="avatar"><img src="/avatar.gif" alt="Member"></dt></dl>
<div class="back2top"><a href="#wrap" title="Top">Top</a></div></div></div>
<hr class="divider">
"""

BOAT = """
<!DOCTYPE html>
<html lang="$lang">
<head>
$meta
<title>$title &#8211; $name</title>
<link rel="pingback" href="/xmlrpc.php">
<meta name="generator" content="WordPress 6.1">
$social
$style
$script
</head>
<body class="post-template-default single single-post wp-embed-responsive">
<a class="skip-link screen-reader-text" href="#content">Skip to content</a>
<div id="page" class="site">
<header id="masthead" class="site-header"><p class="site-title"><a href="/">$name</a></p>
<nav id="site-navigation" class="main-navigation"><ul id="primary-menu">$menu</ul></nav></header>
<div id="content" class="site-content"><div id="primary" class="content-area">
<main id="main" class="site-main">
<article id="post-$number9999" class="post type-post hentry">
<header class="entry-header"><h1 class="entry-title">$title</h1></header>
<div class="entry-content">
$text
</div>
<footer class="entry-footer"><span class="cat-links">Posted in $tags</span></footer>
</article>
<nav class="navigation post-navigation"><div class="nav-links">$row2</div></nav>
$comments?
</main></div></div>
<aside id="secondary" class="widget-area sidebar"><section class="widget widget_recent_entries">
<h2 class="widget-title">Recent Posts</h2><ul>
$links5
</ul></section><section class="widget widget_meta"><h2>Meta</h2><ul><li><a href="/wp-login.php">
Log in</a></li><li><a href="/feed/">Entries feed</a></li></ul></section></aside>
<footer id="colophon" class="site-footer"><div class="site-info">$legal</div></footer>
</div>
$cookies?
</body>
</html>
"""

COPYIST = """
<html><head><title>$title</title>$oldmeta</head>
<body>
<p class="nav">[<a href="/">index</a>] [<a href="/new">new</a>] [$row3]</p>
<h1>$title</h1>
$text
<hr>
<address class="footer">$name, $day</address>
</body></html>
"""

HARBOUR = """
<!DOCTYPE html><html lang="$lang"><head>$meta<meta name="viewport" content="width=device-width"/>
<title>$title</title><meta name="next-head-count" content="$number9"/>
$social
$style</head><body>
<div id="__next"><div class="css-1q2w3e"><header class="css-header"><a href="/">$name</a>
<nav class="css-nav"><ul>$menu</ul></nav></header>
<main><article class="css-article"><h1 class="css-title">$title</h1>
<section class="css-9k2 article-content">
$text
</section></article></main>
<aside class="css-aside" aria-label="Related"><h2>More like this</h2><ul>
$links6
</ul>$ad?</aside>
<footer class="css-footer">$legal</footer></div></div>
<script id="__NEXT_DATA__" type="application/json">$whole</script>
$script</body></html>
"""

ATTIC = """
<!DOCTYPE html>
<html class="v2" dir="ltr" lang="$lang">
<head>
$meta
<meta content="blogger" name="generator">
<title>$name: $title</title>
$style
$script
</head>
<body class="loading">
<div class="navbar section" id="navbar">$menu</div>
$cookies?
<div class="body-fauxcolumns"></div>
<div class="content-outer"><div class="content-inner">
<header><div class="header-inner"><h2 class="title"><a href="/">$name</a></h2></div></header>
<div class="main-outer"><div class="column-center-outer">
<div class="blog-posts hfeed"><div class="date-outer">
<div class="post hentry"><h1 class="post-title entry-title">$title</h1>
<div class="post-body entry-content">
$text
</div>
<div class="post-footer"><span class="post-author">Posted by $user</span> on $day
<span class="post-labels">Labels: $tags</span> <span class="share">$share</span></div>
</div></div></div>
$comments?
</div>
<div class="column-right-outer sidebar"><div class="widget BlogArchive"><h2>Blog Archive</h2>
<ul class="hierarchy">
$links9
</ul></div>$ad?</div></div>
<footer class="footer-outer">$legal</footer>
</div></div>
</body>
</html>
"""

ASK = """
<!DOCTYPE html>
<html itemscope itemtype="https://schema.org/QAPage" class="html__responsive" lang="$lang">
<head>
<title>$title - $name</title>
$meta
$social?
$style
$script
</head>
<body class="question-page unified-theme">
<header class="s-topbar"><a class="s-topbar--logo" href="/">$name</a>
<nav><ol class="s-navigation">$menu</ol></nav></header>
<div class="container"><div id="left-sidebar" class="left-sidebar" role="navigation"><ol>
<li><a href="/questions">Questions</a></li><li><a href="/unanswered">Unanswered</a></li></ol></div>
<div id="content" class="snippet-hidden">
<h1 itemprop="name">$title</h1>
<div id="mainbar" role="main"><div class="s-prose js-post-body" itemprop="text">
$text
</div></div>
<div id="sidebar" class="show-votes" role="complementary">
<div class="module sidebar-linked"><h4>Linked</h4><ul>
$links8
</ul></div>$ad?</div>
</div></div>
<footer id="footer" class="site-footer js-footer"><p>$legal</p></footer>
$cookies?
</body>
</html>
"""

ALMANAC = """
<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN"
 "http://www.w3.org/TR/html4/loose.dtd">
<html lang="$lang">
<head>
$oldmeta
<title>$title ($name)</title>
$style
</head>
<body>
<div id="banner"><a href="/"><img src="/banner.gif" alt="$name" width="468" height="60"></a></div>
<ul id="menu">$menu</ul>
<table class="layout" cellspacing="0"><tr>
<td class="content" id="content">
<h1>$title</h1>
$text
</td>
<td class="sidebar" width="180"><b>See also</b><ul>
$links6
</ul>$ad?</td>
</tr></table>
<div id="footer" class="footer">$legal</div>
$script
</body>
</html>
"""

SITES = {
    "lantern-encyclopedia.example": Site("Lantern Encyclopedia", ENCYCLOPEDIA, server="Apache"),
    "hearth-tales.example": Site("Hearth Tales", TALES, '<p class="story-p">%s</p>\n'),
    "morning-ferry.example": Site("The Morning Ferry", NEWS, server="cloudflare"),
    "copper-ladle.example": Site("Copper Ladle", LADLE, entities=True),
    "why-and-how.example": Site("Why and How", HOW, '<p class="text">%s</p>\n', entities=True),
    "slate-and-chalk.example": Site("Slate & Chalk", SLATE, '<P><FONT FACE="Times">%s</FONT></P>\n',
                                    entities=True, server="Apache/1.3.42 (Unix)"),
    "old-letters.example": Site("Old Letters", LETTERS, server="Apache/2.4.57 (Debian)"),
    "village-pump.example": Site("The Village Pump", PUMP, post=PUMP_POST),
    "ask-the-archive.example": Site("Ask the Archive", ASK, server="cloudflare"),
    "pocket-almanac.example": Site("The Pocket Almanac", ALMANAC, entities=True, server="Apache"),
    "paper-boat.example": Site("Paper Boat", BOAT, server="LiteSpeed"),
    "the-copyist.example": Site("The Copyist", COPYIST, "%s<br>\n<br>\n", entities=True),
    "harbour-post.example": Site("Harbour Post", HARBOUR, server="Vercel"),
    "attic-of-pages.example": Site("Attic of Pages", ATTIC, "<div>%s</div>\n", server="GSE"),
}
MIRRORS = list(SITES)[-4:]      # these have no pages of their own


def site_of(host: str) -> Site:
    """The site of a host; hosts without a layout of their own have bought somebody else's."""
    for name, site in SITES.items():
        if host == name or host.endswith("." + name):
            return site
    number = int.from_bytes(hashlib.blake2b(host.encode(), digest_size=4).digest(), "big")
    return list(SITES.values())[number % len(SITES)]
