"""The staff's pages of products and categories."""

from django.contrib import messages
from django.db.models import ProtectedError
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.views.generic import CreateView, DeleteView, ListView, UpdateView

from shop.catalogue.models import Category, Product
from shop.staff.access import StaffRequired
from shop.staff.forms import CategoryForm, ProductForm


class ProductList(StaffRequired, ListView):
    paginate_by = 20
    template_name = "staff/product_list.html"

    def get_queryset(self):
        return Product.objects.select_related("category").search(self.request.GET.get("q", "").strip())


class EditProduct(StaffRequired):
    model = Product
    form_class = ProductForm
    template_name = "staff/form.html"
    success_url = reverse_lazy("staff-products")
    extra_context = {"back": success_url}

    def form_valid(self, form):
        messages.success(self.request, f"{form.instance} is saved.")
        return super().form_valid(form)


class CreateProduct(EditProduct, CreateView):
    pass


class UpdateProduct(EditProduct, UpdateView):
    pass


class DeleteProduct(StaffRequired, DeleteView):
    model = Product
    template_name = "staff/confirm_delete.html"
    success_url = reverse_lazy("staff-products")
    extra_context = {"back": success_url}

    def form_valid(self, form):
        try:
            return super().form_valid(form)
        except ProtectedError:
            messages.error(self.request, f"{self.object} was ordered; take it off sale instead.")
            return redirect(self.success_url)


class CategoryList(StaffRequired, ListView):
    model = Category
    template_name = "staff/category_list.html"


class EditCategory(StaffRequired):
    model = Category
    form_class = CategoryForm
    template_name = "staff/form.html"
    success_url = reverse_lazy("staff-categories")
    extra_context = {"back": success_url}


class CreateCategory(EditCategory, CreateView):
    pass


class UpdateCategory(EditCategory, UpdateView):
    pass


class DeleteCategory(StaffRequired, DeleteView):
    model = Category
    template_name = "staff/confirm_delete.html"
    success_url = reverse_lazy("staff-categories")
    extra_context = {"back": success_url}
