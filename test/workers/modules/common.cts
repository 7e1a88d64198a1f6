exports.add = (left: number, right: number): number => left + right;
exports.here = (): string => __filename;
