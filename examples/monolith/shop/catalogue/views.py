"""What visitors see of the catalogue."""

from django.http import Http404
from django.views.generic import DetailView, ListView

from shop.cart.forms import QuantityForm
from shop.catalogue.models import Category, Product
from shop.reviews.forms import ReviewForm

SORTS = {"name": "name", "price": "cheapest first", "-price": "dearest first", "-created_at": "newest first"}
REVIEWS_SHOWN = 50


class ProductList(ListView):
    """All products on sale, or those of a category; searched, sorted, in pages."""

    template_name = "catalogue/product_list.html"
    paginate_by = 12

    def get_queryset(self):
        self.categories = list(Category.objects.all())
        self.category = None
        products = Product.objects.on_sale()
        if slug := self.kwargs.get("slug"):
            self.category = next((one for one in self.categories if one.slug == slug), None)
            if self.category is None:
                raise Http404(f"no category {slug}")
            products = products.filter(category=self.category)
        self.sort = self.request.GET.get("sort")
        if self.sort in SORTS:
            products = products.order_by(self.sort, "pk")
        self.text = self.request.GET.get("q", "").strip()
        return products.search(self.text)

    def get_context_data(self, **kwargs):
        return super().get_context_data(
            categories=self.categories, category=self.category, sorts=SORTS, sort=self.sort, text=self.text, **kwargs
        )


class ProductDetail(DetailView):
    """One product with its reviews."""

    queryset = Product.objects.on_sale().select_related("category")

    def get_context_data(self, **kwargs):
        reviews = list(self.object.reviews.published()[:REVIEWS_SHOWN])
        stars = [review.stars for review in reviews]
        return super().get_context_data(
            reviews=reviews,
            average=sum(stars) / len(stars) if stars else None,
            quantity_form=QuantityForm(initial={"quantity": 1}),
            review_form=ReviewForm(),
            **kwargs,
        )
