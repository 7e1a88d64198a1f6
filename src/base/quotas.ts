// Made by scripts/make_layout.mjs from native/core/layout.mjs: change it there.

/** The most bytes read from one connection in one turn. */
export const READ_QUOTA = 65536;
/** The most file bytes sent to one connection in one turn. */
export const FILE_QUOTA = 262144;
/** The most of a file in memory, where the kernel does not send it by itself. */
export const FILE_PART = 131072;
