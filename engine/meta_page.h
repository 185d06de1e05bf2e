/* meta_page.h - the layout of the meta pages of LMDB 0.9: page 0 or 1 of the file, that of the
** commit with that parity. What is behind TYCHO__META_END is not LMDB's (disk.h puts a seal there).
**
**    0 u64 number of the page    16 u32 magic    20 u32 version    24 u64 address
**   32 u64 size of the map       40 tree of free pages, whose first u32 is the size of a page
**   88 tree of the main table   136 u64 the last page             144 u64 number of the commit
*/
#ifndef TYCHO__META_PAGE_H
#define TYCHO__META_PAGE_H

enum {
    TYCHO__META_PAGES = 2,
    TYCHO__META_NUMBER = 0,
    TYCHO__META_MAGIC = 16,
    TYCHO__META_VERSION = 20,
    TYCHO__META_FIELDS = 32, /* what a commit writes, from here to the end */
    TYCHO__META_FREE_TREE = 40,
    TYCHO__META_PAGE_SIZE = TYCHO__META_FREE_TREE,
    TYCHO__META_MAIN_TREE = 88,
    TYCHO__META_LAST_PAGE = 136,
    TYCHO__META_COMMIT = 144,
    TYCHO__META_END = 152
};
#define TYCHO__LMDB_MAGIC 0xbeefc0deu
#define TYCHO__LMDB_VERSION 1u

#endif
