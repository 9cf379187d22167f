/* Chance, the same on every run: the state travels with the turn. */

static uint64_t state;

/* splitmix64 */
static uint64_t draw(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static unsigned below(unsigned limit)
{
	return (unsigned)(draw() % limit);
}

static int one_in(unsigned n)
{
	return below(n) == 0;
}

#define PICK(list) ((list)[below(sizeof(list) / sizeof *(list))])
