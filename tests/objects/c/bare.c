/* One function, no SEC. */
int main(void *ctx)
{
	return 0;
}
